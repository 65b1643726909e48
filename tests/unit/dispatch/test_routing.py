"""Where work goes, as a table: by how much there is, and by what is paused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from media_assets.dispatch.routing import Route, route, route_large, routes
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.step import Work
from tests.unit.dispatch.works import video_work, work

LAMBDA, ECS = "detect", "detect@ecs"
FRAMES_LAMBDA, FRAMES_ECS = "frames", "frames@ecs"


@pytest.mark.parametrize(
    ("step", "items", "paused", "expected"),
    [
        ("probe", 1, [], Route("lambda", "only_target")),
        ("thumbnail", 100_000, [], Route("lambda", "only_target")),
        ("thumbnail", 1, ["thumbnail"], Route("lambda", "only_target")),
        ("detect", 1, [], Route("lambda", "few_items")),
        ("detect", 99, [], Route("lambda", "few_items")),
        ("detect", 100, [], Route("ecs", "many_items")),
        ("detect", 100_000, [], Route("ecs", "many_items")),
        ("detect", 99, [ECS], Route("lambda", "few_items")),
        ("detect", 100, [LAMBDA], Route("ecs", "many_items")),
        ("detect", 100, [ECS], Route("lambda", "ecs_paused")),
        ("detect", 1, [LAMBDA], Route("ecs", "lambda_paused")),
        ("detect", 1, [LAMBDA, ECS], Route("lambda", "few_items")),
        ("detect", 100, [LAMBDA, ECS], Route("ecs", "many_items")),
        ("detect", 100, ["probe", "analyze"], Route("ecs", "many_items")),
    ],
)
def test_routes(step: str, items: int, paused: list[str], expected: Route) -> None:
    assert route(STEPS[step], items, Settings(), paused) == expected


def test_how_many_are_worth_a_task_is_a_setting() -> None:
    assert route(STEPS["detect"], 3, Settings(ecs_min_items=3)) == Route("ecs", "many_items")
    assert route(STEPS["detect"], 500, Settings(ecs_min_items=501)) == Route("lambda", "few_items")


@pytest.mark.parametrize(
    ("size_bytes", "seconds", "paused", "expected"),
    [
        (1_000, 0.1, [], Route("lambda", "small")),
        (200_000_000, 60, [], Route("lambda", "small")),
        (200_000_001, 60, [], Route("ecs", "many_bytes")),
        (200_000_000, 60.1, [], Route("ecs", "long_work")),
        (1_000, 0.1, [FRAMES_LAMBDA], Route("ecs", "lambda_paused")),
        (1_000, 0.1, [FRAMES_LAMBDA, FRAMES_ECS], Route("lambda", "small")),
        (1_000, 0.1, [FRAMES_ECS], Route("lambda", "small")),
        (1_000, 600, [FRAMES_ECS], Route("ecs", "long_work")),
        (1_000, 0.1, ["detect", "segment"], Route("lambda", "small")),
    ],
)
def test_routes_of_a_video(size_bytes: int, seconds: float, paused: list[str], expected: Route) -> None:
    assert route_large(STEPS["frames"], size_bytes, seconds, Settings(), paused) == expected


def test_what_a_function_can_do_is_a_setting() -> None:
    assert route_large(STEPS["frames"], 11, 1, Settings(lambda_max_video_bytes=10)).target == "ecs"
    assert route_large(STEPS["frames"], 11, 6, Settings(lambda_max_work_seconds=5)).target == "ecs"


def test_each_video_goes_its_own_way_and_small_items_go_together() -> None:
    short, long = video_work("frames", seconds=10), video_work("frames", seconds=3 * 3600)
    assert routes(STEPS["frames"], [short, long, short], Settings()) == [
        (Route("lambda", "small"), [short, short]),
        (Route("ecs", "long_work"), [long]),
    ]
    photos: list[Work] = [work("detect") for _ in range(100)]
    assert routes(STEPS["detect"], photos, Settings()) == [(Route("ecs", "many_items"), photos)]
    assert routes(STEPS["probe"], photos, Settings()) == [(Route("lambda", "only_target"), photos)]
    assert routes(STEPS["frames"], [], Settings()) == []


def test_what_failed_in_a_function_is_tried_again_as_a_task() -> None:
    failed = replace(video_work("segment", seconds=10), failures=1)
    assert routes(STEPS["segment"], [failed], Settings()) == [(Route("ecs", "failed_before"), [failed])]


def test_where_a_video_goes_depends_on_whether_it_can_be_copied() -> None:
    copied = replace(video_work("segment", seconds=300), format="mp4")
    encoded = replace(video_work("segment", seconds=300), format="avi")
    ways = [(Route("lambda", "small"), [copied]), (Route("ecs", "long_work"), [encoded])]
    assert routes(STEPS["segment"], [copied, encoded], Settings()) == ways


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({"strategy": "one_for_all", "base_text": "Ride on"}, Route("lambda", "small")),
        ({"strategy": "one_for_all", "base_text": "\u05e9\u05dc\u05d5\u05dd"}, Route("ecs", "shaped_text")),
        ({"strategy": "unique_for_all", "unique_texts": ["Ride", "\u0633\u0644\u0627\u0645"]}, Route("ecs", "shaped_text")),
        (None, Route("lambda", "small")),
    ],
)
def test_texts_that_only_a_task_can_set_go_there(text: dict[str, Any] | None, expected: Route) -> None:
    options = {"cutting_options": {"type": "fixed", "duration_seconds": 5}, "exact": False, "text_input": text}
    job = video_work("segment", seconds=10, options=options)
    assert [way for way, _ in routes(STEPS["segment"], [job], Settings())] == [expected]
