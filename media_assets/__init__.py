"""Event-sourced Dagster asset pipeline for photos and videos in S3."""
