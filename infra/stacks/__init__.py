"""The stack and what it is composed of: one construct a file."""
