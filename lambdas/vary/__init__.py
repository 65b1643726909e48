"""Variations of a text: the vary step and what it asks a chat model."""
