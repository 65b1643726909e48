"""The AWS side of media-assets, as a CDK app. `docs/infrastructure.md` is its manual."""
