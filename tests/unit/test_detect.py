"""The embedded detector on real photographs, from the upload's bytes through the real thumbnail step."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lambdas.detect.handler import EMBEDDED_MODEL, MOST_DETECTIONS, handler
from lambdas.runtime.contract import ErrorCode, ObjectReference, answer_key, event_key
from lambdas.runtime.step import BadRequest
from media_assets.settings import EMBEDDED_DETECTOR
from tests.unit.conftest import Bucket, error, outcomes, request
from tests.unit.detecting import PARAMETERS, Found, detections, detections_of, outcome_of, thumbnailed
from tests.unit.images import encode, turned

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def the(label: str, found: list[Found]) -> Found:
    (one,) = (each for each in found if each.label == label)
    return one


@pytest.mark.parametrize(
    ("name", "label", "min_confidence", "edges"),
    [
        ("chelsea.png", "cat", 0.4, (0, 0, 451, 300)),
        ("astronaut.png", "person", 0.4, (0, 10, 390, 512)),
        ("camera.png", "person", 0.4, (5, 65, 310, 512)),
        ("coffee.png", "dining table", 0.4, (0, 0, 600, 400)),
        ("coffee.png", "cup", 0.25, (170, 20, 415, 270)),
    ],
)
def test_a_thing_is_found_where_it_is(
    name: str, label: str, min_confidence: float, edges: tuple[int, int, int, int], bucket: Bucket
) -> None:
    found = the(label, detections(bucket, sample(name), min_confidence=min_confidence))
    assert found.overlap(*edges) > 0.7
    assert min_confidence <= found.confidence <= 1


def test_the_box_of_a_cat_covers_its_face(bucket: Bucket) -> None:
    x, y, width, height = the("cat", detections(bucket, sample("chelsea.png"))).bbox
    face = (115, 60, 330, 265)
    assert x <= face[0] < face[2] <= x + width
    assert y <= face[1] < face[3] <= y + height


@pytest.mark.parametrize("name", ["hubble_deep_field.jpg", "rocket.jpg", "china.jpg"])
def test_a_picture_without_anything_that_the_model_knows_has_an_empty_list(name: str, bucket: Bucket) -> None:
    assert detections(bucket, sample(name)) == []


def test_boxes_are_in_pixels_of_the_original_whichever_thumbnail_is_looked_at(bucket: Bucket) -> None:
    picture = Image.open(io.BytesIO(sample("astronaut.png"))).resize((2200, 2200))
    item = thumbnailed(bucket, encode(picture, "JPEG", quality=90))
    boxes = [the("person", detections_of(item, input_px=size)) for size in (256, 800, 1600)]
    edges = tuple(round(edge * 2200 / 512) for edge in (0, 10, 390, 512))
    for found in boxes:
        assert found.overlap(*edges) > 0.7
    x, y, width, height = boxes[1].bbox
    assert all(found.overlap(x, y, x + width, y + height) > 0.9 for found in boxes)


@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_boxes_of_a_turned_original_are_those_of_the_upright_one(orientation: int, bucket: Bucket) -> None:
    upright = Image.open(io.BytesIO(sample("chelsea.png")))
    straight = detections(bucket, upright)
    assert detections(bucket, turned(upright, orientation, "PNG")) == straight
    x, y, width, height = the("cat", straight).bbox
    from_jpeg = the("cat", detections(bucket, turned(upright, orientation, "JPEG", quality=90)))
    assert from_jpeg.overlap(x, y, x + width, y + height) > 0.95


def test_a_tall_picture_is_not_squeezed(bucket: Bucket) -> None:
    cat = Image.open(io.BytesIO(sample("chelsea.png")))
    tall = Image.new("RGB", (451, 900), "white")
    tall.paste(cat, (0, 500))
    assert the("cat", detections(bucket, tall)).overlap(0, 500, 451, 800) > 0.7


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (3, 2)])
def test_boxes_are_inside_the_smallest_pictures(size: tuple[int, int], bucket: Bucket) -> None:
    for found in detections(bucket, Image.new("RGB", size, "#3f8f3c"), min_confidence=0.01):
        x, y, width, height = found.bbox
        assert 0 <= x < x + width <= size[0]
        assert 0 <= y < y + height <= size[1]


def test_there_are_at_most_a_hundred_most_confident_first(bucket: Bucket) -> None:
    found = detections(bucket, sample("camera.png"), min_confidence=0.01)
    assert len(found) == MOST_DETECTIONS
    assert [each.confidence for each in found] == sorted((each.confidence for each in found), reverse=True)
    assert all(min(each.bbox[2:]) >= 1 for each in found)


def test_transparency_counts_as_white(bucket: Bucket) -> None:
    cat = Image.open(io.BytesIO(sample("chelsea.png"))).convert("RGBA")
    cat.putalpha(0)
    assert detections(bucket, cat) == []


def test_the_items_of_a_batch_have_one_outcome_each(bucket: Bucket) -> None:
    items = [thumbnailed(bucket, sample(name)) for name in ("chelsea.png", "hubble_deep_field.jpg")]
    lost = items[0].model_copy(update={"item_id": "lost", "input": items[0].input | {"thumbnails": {"800": "derived/none"}}})
    cat, gone, nothing = outcomes(handler, "detect", PARAMETERS, items[0], lost, items[1])
    assert cat.result is not None
    assert cat.result["model"] == EMBEDDED_MODEL
    assert cat.metrics.bytes_in > 0
    assert gone.error is not None
    assert nothing.result == {"model": EMBEDDED_MODEL, "detections": []}


def test_a_task_finds_what_a_function_finds(bucket: Bucket) -> None:
    item = thumbnailed(bucket, sample("chelsea.png"))
    attempt = request("detect", PARAMETERS, item) | {"attempt_id": item.item_id}
    body = json.dumps({"request": attempt, "task": {"seconds": 60, "memory_mb": 2048}}).encode()
    key = event_key("detect", item.item_id)
    version = bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=body)["VersionId"]
    reference = ObjectReference(bucket=bucket.name, key=key, version_id=version, sha256=hashlib.sha256(body).hexdigest())
    environment = os.environ | {"MEDIA_EVENT_OBJECT": reference.model_dump_json()}
    subprocess.run([sys.executable, "-m", "lambdas.detect.task"], cwd=ROOT, env=environment, check=True, timeout=60)
    answer = json.loads(bucket.get(answer_key("detect", item.item_id)))
    assert answer["manifest"]["outcomes"][0]["result"] == outcome_of(item).result


def test_a_size_that_has_no_thumbnail_is_no_fault_of_the_picture(bucket: Bucket) -> None:
    outcome = outcome_of(thumbnailed(bucket, sample("chelsea.png")), input_px=1000)
    assert error(outcome) == (ErrorCode.MODEL_NOT_CONFIGURED, "there is no thumbnail of 1000 px", True)


@pytest.mark.parametrize("wrong", [{"min_confidence": 0}, {"min_confidence": 1.5}, {"input_px": "large"}, {"colour": "red"}])
def test_parameters_that_no_recipe_has_fail_the_batch(wrong: dict[str, object], bucket: Bucket) -> None:
    item = bucket.put(b"")
    with pytest.raises(BadRequest, match=next(iter(wrong))):
        outcome_of(item, **wrong)


def test_the_settings_name_the_embedded_detector() -> None:
    assert EMBEDDED_DETECTOR == EMBEDDED_MODEL


@pytest.mark.parametrize("module", ["lambdas.probe.handler", "lambdas.analyze.handler"])
def test_steps_that_need_no_model_at_once_import_none(module: str) -> None:
    script = f"import sys, {module}; print(sorted({{'numpy', 'onnxruntime'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True).stdout == "[]\n"
