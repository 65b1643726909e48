"""The Dagster layer: assets, checks, sensors, jobs and schedules over the event log and dispatch."""
