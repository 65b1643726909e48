"""Targets that don't answer, as checks show them."""

from __future__ import annotations

import pytest
from dagster import AssetCheckSeverity, DagsterInstance

from media_assets.defs.checks.targets import target_checks
from media_assets.dispatch.breakers import trip
from media_assets.steps.catalogue import STEPS
from tests.unit.defs.conftest import evaluate, found
from tests.unit.defs.gallery import Gallery

TARGETS = dict(zip(STEPS, target_checks, strict=True))


def fail(gallery: Gallery, target: str, seconds: float = 60) -> None:
    trip(gallery.store.engine, target, "no answer", base_seconds=seconds, max_seconds=60)


def test_a_target_that_is_left_alone_fails_its_own_steps_check(gallery: Gallery, instance: DagsterInstance) -> None:
    fail(gallery, "probe")
    evaluation = evaluate(TARGETS["probe"], instance)
    assert not evaluation.passed
    assert evaluation.severity is AssetCheckSeverity.ERROR
    assert found(evaluation).startswith("- probe is paused until 20")
    assert found(evaluation).endswith(" UTC; it failed once: no answer")
    assert evaluate(TARGETS["thumbnail"], instance).passed


def test_one_whose_time_is_over_has_not_answered_yet(gallery: Gallery, instance: DagsterInstance) -> None:
    fail(gallery, "probe", -5)
    fail(gallery, "probe", -5)
    evaluation = evaluate(TARGETS["probe"], instance)
    assert not evaluation.passed
    assert found(evaluation).startswith("- probe is tried again with the next batch, after a pause until 20")
    assert found(evaluation).endswith("failed 2 times in a row: no answer")


@pytest.mark.parametrize(
    ("down", "severity"),
    [
        (["detect@ecs"], AssetCheckSeverity.WARN),  # Lambda does the work
        (["detect"], AssetCheckSeverity.WARN),
        (["detect", "detect@ecs"], AssetCheckSeverity.ERROR),
    ],
)
def test_it_is_an_error_when_no_target_is_left(
    gallery: Gallery, instance: DagsterInstance, down: list[str], severity: AssetCheckSeverity
) -> None:
    for target in down:
        fail(gallery, target)
    evaluation = evaluate(TARGETS["detect"], instance)
    assert not evaluation.passed
    assert evaluation.severity is severity
    figures = {name: value.value for name, value in evaluation.metadata.items() if name != "found"}
    assert figures == {"targets": 2, "not_answering": len(down), "failures": len(down)}
