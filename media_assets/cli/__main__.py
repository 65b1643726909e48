"""`python -m media_assets.cli …` is `media-assets …`."""

from media_assets.cli import main

main()
