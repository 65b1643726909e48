"""What can be computed: the steps, their recipes, which items are pending or stale for them, and claims on items."""
