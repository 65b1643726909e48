"""How long cutting a video is likely to take, and what that costs: an estimate before the work, also for routing it."""

from __future__ import annotations

from decimal import Decimal
from math import ceil

from lambdas.runtime.video.mode import Mode
from media_assets.settings import Settings
from media_assets.steps.prices import fargate_task, lambda_invocation
from media_assets.steps.step import Step, TargetName

# Measured with FFmpeg 9 on two cores, 1920 × 1080 at 30 a second: CPU seconds of decoding, encoding at crf 23 and finding
# scenes, halved, per million pixels of all frames; and factors of x264's presets.
_ENCODING_SECONDS = 0.013
_SCENES_SECONDS = 0.0015
_AUDIO_SECONDS = 0.035
"""Of encoding a second of stereo sound."""
_START_SECONDS = 2.0
_BYTES_A_SECOND = 50e6
"""Read from S3, copied and written back."""
_PRESETS = {
    "ultrafast": 0.5,
    "superfast": 0.85,
    "veryfast": 1.0,
    "faster": 1.8,
    "fast": 2.1,
    "medium": 3.0,
    "slow": 4.3,
}


def estimated_seconds(
    duration_ms: int,
    width: int,
    height: int,
    frame_rate: float,
    *,
    size_bytes: int,
    mode: Mode,
    finds_scenes: bool,
    preset: str = "veryfast",
) -> float:
    """Seconds of work on a task of two vCPUs. Whatever is encoded, its sound counts as encoded too."""
    megapixels = duration_ms / 1000 * frame_rate * width * height / 1e6
    seconds = _START_SECONDS + size_bytes / _BYTES_A_SECOND
    if mode is Mode.ENCODED:
        seconds += megapixels * _ENCODING_SECONDS * _PRESETS[preset]
    if mode is not Mode.COPIED:
        seconds += duration_ms / 1000 * _AUDIO_SECONDS
    if finds_scenes:
        seconds += megapixels * _SCENES_SECONDS
    return seconds


def estimated_micro_dollars(settings: Settings, step: Step, target: TargetName, seconds: float) -> int:
    """What so much work of a step costs where it is done."""
    if target == "lambda" or step.task is None:
        return lambda_invocation(settings, milliseconds=ceil(seconds * 1000), memory_mb=step.memory_mb)
    size = step.task
    return fargate_task(settings, seconds=Decimal(ceil(seconds)), vcpus=size.vcpus, memory_mb=size.memory_mb)
