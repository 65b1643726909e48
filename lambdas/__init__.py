"""What runs remotely. Nothing in here knows media_assets, Dagster's own package or a database driver."""
