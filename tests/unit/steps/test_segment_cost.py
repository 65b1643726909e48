"""Estimates of cutting: what takes longer costs more, and what is copied costs next to nothing."""

from __future__ import annotations

from typing import Any

import pytest

from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.prices import lambda_invocation
from media_assets.steps.segment_cost import encodes, estimated_micro_dollars, estimated_seconds
from tests.unit.eventlog.films import VIDEO

SETTINGS = Settings(model_provider="local")
SEGMENT = STEPS["segment"]


def seconds(duration_s: int = 60, width: int = 1920, height: int = 1080, **options: Any) -> float:
    options = {"size_bytes": 50_000_000, "encodes": True, "finds_scenes": False, **options}
    return estimated_seconds(duration_s * 1000, width, height, 30, **options)


@pytest.mark.parametrize(
    ("info", "asked", "encoded"),
    [
        ({}, {}, False),
        ({}, {"exact": True}, True),
        ({}, {"has_text": True}, True),
        ({"codec": "vp9"}, {}, True),
        ({"bit_depth": 10}, {}, True),
    ],
)
def test_what_has_to_be_encoded(info: dict[str, Any], asked: dict[str, bool], encoded: bool) -> None:
    assert encodes({**VIDEO.model_dump(), **info}, **{"exact": False, "has_text": False, **asked}) is encoded


def test_a_minute_of_full_hd_takes_about_a_minute_to_encode_and_a_moment_to_copy() -> None:
    assert 30 < seconds() < 120
    assert seconds(encodes=False) < 5
    assert seconds(encodes=False) < seconds(encodes=False, finds_scenes=True) < 20


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
