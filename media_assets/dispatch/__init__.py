"""How it is computed: batches of claimed items go to remote targets through Dagster Pipes, and what comes back is proven
before it is appended."""
