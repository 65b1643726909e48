"""What the steps that open pictures share: which formats there are, and what a file's header says."""
