"""Dagster's documented way to process files with Lambda: what vs_stock_dagster measures against."""
