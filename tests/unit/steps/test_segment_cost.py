"""Estimates of cutting: what takes longer costs more, and what is copied costs next to nothing."""

from __future__ import annotations

from typing import Any

import pytest

from lambdas.runtime.video.formats import VideoFormat
from lambdas.runtime.video.mode import Mode
from lambdas.segment.source import SourceFacts
from media_assets.eventlog.catalogue import AudioTrack
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.prices import lambda_invocation
from media_assets.steps.segment import likely_mode
from media_assets.steps.segment_cost import estimated_micro_dollars, estimated_seconds
from media_assets.steps.segment_plan import JobOptions
from tests.unit.eventlog.films import VIDEO

SETTINGS = Settings(model_provider="local")
SEGMENT = STEPS["segment"]
OPUS = AudioTrack(codec="opus", channels=2, sample_rate_hz=48_000, language=None)


def seconds(duration_s: int = 60, width: int = 1920, height: int = 1080, **options: Any) -> float:
    options = {"size_bytes": 50_000_000, "mode": Mode.ENCODED, "finds_scenes": False, **options}
    return estimated_seconds(duration_s * 1000, width, height, 30, **options)


@pytest.mark.parametrize("format", list(VideoFormat))
@pytest.mark.parametrize(
    ("info", "asked", "mode"),
    [
        ({}, {}, Mode.COPIED),
        ({"audio": ()}, {}, Mode.COPIED),
        ({"audio": (OPUS, *VIDEO.audio)}, {}, Mode.AUDIO_ENCODED),
        ({"audio": (*VIDEO.audio, OPUS)}, {}, Mode.COPIED),
        ({}, {"exact": True}, Mode.ENCODED),
        ({}, {"text_input": {"strategy": "one_for_all", "base_text": "Ride on"}}, Mode.ENCODED),
        ({"codec": "vp9"}, {}, Mode.ENCODED),
        ({"bit_depth": 10}, {}, Mode.ENCODED),
    ],
)
def test_what_is_expected_to_be_encoded_is_what_the_step_would_encode(
    format: VideoFormat, info: dict[str, Any], asked: dict[str, Any], mode: Mode
) -> None:
    options = JobOptions.model_validate({"cutting_options": {"type": "fixed", "duration_seconds": 5}, **asked})
    video = VIDEO.model_copy(update=info).model_dump()
    expected = Mode.ENCODED if format is VideoFormat.AVI else mode
    assert likely_mode(video, format.value, options) is expected
    texts = None if options.text_input is None else ["Ride on"]
    facts = SourceFacts.model_validate({"video": video, "width": 640, "height": 360, "texts": texts})
    assert facts.cheapest_mode(format, exact=options.exact) is expected


def test_a_minute_of_full_hd_takes_about_a_minute_to_encode_and_a_moment_to_copy() -> None:
    assert 30 < seconds() < 120
    assert seconds(mode=Mode.COPIED) < 5
    assert seconds(mode=Mode.COPIED) < seconds(mode=Mode.AUDIO_ENCODED) < seconds()
    assert seconds(mode=Mode.COPIED) < seconds(mode=Mode.COPIED, finds_scenes=True) < 20


def test_more_work_takes_longer() -> None:
    longer = [
        seconds(120),
        seconds(width=3840),
        seconds(size_bytes=10**9),
        seconds(preset="medium"),
        seconds(finds_scenes=True),
    ]
    assert min(longer) > seconds() > seconds(preset="ultrafast")


def test_every_preset_of_the_settings_has_an_estimate() -> None:
    presets = Settings.model_json_schema()["properties"]["segment_preset"]["enum"]
    found = [seconds(preset=preset) for preset in presets]
    assert found == sorted(found)


def test_prices_are_those_of_where_it_runs() -> None:
    function = estimated_micro_dollars(SETTINGS, SEGMENT, "lambda", 10)
    assert function == lambda_invocation(SETTINGS, milliseconds=10_000, memory_mb=SEGMENT.memory_mb)
    assert estimated_micro_dollars(SETTINGS, SEGMENT, "ecs", 10) == estimated_micro_dollars(SETTINGS, SEGMENT, "ecs", 60)
    assert estimated_micro_dollars(SETTINGS, SEGMENT, "ecs", 600) > estimated_micro_dollars(SETTINGS, SEGMENT, "ecs", 60)
