"""Erasing items with everything that belongs to them: from the log, the read models and the bucket."""
