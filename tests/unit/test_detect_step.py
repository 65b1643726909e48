"""The detect step as the orchestrator sees it: settings, recipe, what it is given, the event that its result becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from lambdas.detect.handler import EMBEDDED_MODEL
from lambdas.runtime.contract import ItemOutcome
from media_assets.eventlog.catalogue import Detection, DetectionsCompleted
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.claims import Claims
from media_assets.steps.detect import Detect
from tests.unit.detecting import PARAMETERS
from tests.unit.dispatch.works import work
from tests.unit.eventlog.lives import HOUR, Life

OWN = {
    "detect_model": "models/yolox-s.onnx",
    "detect_model_sha256": "a" * 64,
    "detect_labels": "models/coco.txt",
    "detect_labels_sha256": "b" * 64,
}
CAT = {"label": "cat", "confidence": 0.9, "bbox": [0, 10, 30, 20]}


def payload(result: dict[str, Any]) -> DetectionsCompleted:
    cat = replace(work("detect"), input={"width": 30, "height": 40, "thumbnails": {}})
    return Detect().payload(cat, ItemOutcome(item_id=str(cat.item_id), result=result))


def test_detections_are_recorded_with_the_model_that_made_them() -> None:
    assert payload({"model": "sight", "detections": [CAT]}) == DetectionsCompleted(
        version_id="v1", model="sight", detections=(Detection(label="cat", confidence=0.9, bbox=(0, 10, 30, 20)),)
    )


def test_finding_nothing_is_a_result() -> None:
    assert payload({"model": "sight", "detections": []}).detections == ()


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"model": "sight"},
        {"detections": [CAT]},
        {"model": "sight", "detections": ["cat"]},
        {"model": "sight", "detections": [CAT | {"label": ""}]},
        {"model": "sight", "detections": [CAT | {"confidence": 1.01}]},
        {"model": "sight", "detections": [CAT | {"confidence": float("nan")}]},
        {"model": "sight", "detections": [CAT | {"bbox": [0, 10, 31, 20]}]},
        {"model": "sight", "detections": [CAT | {"bbox": [0, 30, 30, 11]}]},
        {"model": "sight", "detections": [CAT | {"bbox": [-1, 0, 10, 10]}]},
        {"model": "sight", "detections": [CAT | {"bbox": [0, 0, 0, 10]}]},
        {"model": "sight", "detections": [CAT | {"bbox": [0, 0, 10]}]},
        {"model": "sight", "detections": [CAT | {"bbox": [0.5, 0, 10, 10]}]},
    ],
)
def test_nonsense_is_no_result(result: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        payload(result)


def test_it_is_given_the_thumbnails_and_the_upright_size_of_the_current_version(store: EventStore) -> None:
    cat = Life()
    store.append([*cat.done("v1"), cat.upload("v2"), cat.probed("v2", width=77), cat.thumbnails("v2", sizes=[256])])
    [given] = Claims(store.engine, run_id=None, lease_seconds=30).take(Detect(), [HOUR], 10)
    assert given.input == {"thumbnails": {"256": "derived/v2/r1/0/256.webp"}, "width": 77, "height": 30}


def test_the_recipe_is_what_the_remote_step_takes() -> None:
    assert Detect().parameters(Settings()) == PARAMETERS
    assert Detect().parameters(Settings())["model"] == EMBEDDED_MODEL


def test_another_model_or_another_way_to_ask_it_is_another_recipe() -> None:
    changes: list[dict[str, Any]] = [
        {},
        OWN,
        OWN | {"detect_model_sha256": "c" * 64},
        OWN | {"detect_labels_sha256": "c" * 64},
        {"detect_input_px": 1600},
        {"detect_min_confidence": 0.5},
    ]
    assert len({Detect().recipe(Settings(**change)).digest for change in changes}) == len(changes)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (OWN | {"detect_model_sha256": None}, "MEDIA_DETECT_MODEL=models/yolox-s.onnx needs MEDIA_DETECT_MODEL_SHA256 too"),
        ({"detect_model": "models/m.onnx"}, "needs MEDIA_DETECT_MODEL_SHA256 and MEDIA_DETECT_LABELS and MEDIA_DETECT_LABELS_"),
        ({"detect_labels": "models/coco.txt"}, "MEDIA_DETECT_LABELS say nothing about local/nanodet-g-416; set MEDIA_DETECT_M"),
        (OWN | {"detect_model": "uploads/ada/m.onnx"}, "uploads/ada/m.onnx is not a key under models/"),
        (OWN | {"detect_labels": "labels.txt"}, "labels.txt is not a key under models/"),
        (OWN | {"detect_model_sha256": "A" * 64}, "detect_model_sha256"),
        ({"detect_input_px": 640}, r"MEDIA_DETECT_INPUT_PX is 640; thumbnails have \[256, 800, 1600\] px"),
        ({"detect_min_confidence": 0}, "detect_min_confidence"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings(**given)


def test_without_a_word_the_thumbnail_nearest_to_800_is_looked_at() -> None:
    assert Settings(thumbnail_sizes_px=(100, 640, 1000)).detect_input_px == 640
