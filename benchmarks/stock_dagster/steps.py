"""What both sides do of a photo."""

from __future__ import annotations

from media_assets.steps.catalogue import STEPS

PHOTO_STEPS = {name: step for name, step in STEPS.items() if "image" in step.kinds}
