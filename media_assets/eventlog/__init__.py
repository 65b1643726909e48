"""The source of truth: an append-only event log in Postgres and the read models folded from it.

Imports no Dagster, no boto3 and no HTTP: what happened is told to it, what is true is read from it.
"""
