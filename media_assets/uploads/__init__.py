"""How uploads become known: S3's notifications, and comparing bucket and log for what notifications missed."""
