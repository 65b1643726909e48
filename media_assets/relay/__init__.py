"""Publishes the event log on EventBridge: at least once, in order within a stream."""
