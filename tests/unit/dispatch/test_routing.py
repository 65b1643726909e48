"""Where work goes, as a table: by how much there is, and by what is paused."""

from __future__ import annotations

import pytest

from media_assets.dispatch.routing import Route, route
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS

LAMBDA, ECS = "detect", "detect@ecs"


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
