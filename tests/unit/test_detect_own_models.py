"""A detector of one's own: files from the bucket, every layout of a real ONNX model, and what is wrong with others.

The models are of models/make.py: they find red and blue, each patch with a box on its centre, as wide and half as high.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from lambdas.detect.layouts import layout_of
from lambdas.detect.model_files import ModelFiles, _load, _unusable, own_model
from lambdas.detect.own_model import OwnModel
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.vision.detection import Detection, distinct
from tests.unit.conftest import Bucket
from tests.unit.detecting import detections_of, outcome_of, thumbnailed
from tests.unit.images import encode

MODELS = Path(__file__).with_name("models")
LABELS = ("red", "blue")
LAYOUTS = {"yolox": 0.9, "yolox_decoded": 0.9, "yolov5": 0.9, "yolov8": 1.0, "end_to_end": 1.0}
"""With the factor by which each is less sure than the picture's colours."""
RED, BLUE = (204, 0, 0), (0, 51, 255)


@pytest.fixture(autouse=True)
def fresh_process() -> Iterator[None]:
    _load.cache_clear()
    _unusable.clear()
    yield
    _load.cache_clear()
    _unusable.clear()


def model(name: str, labels: tuple[str, ...] = LABELS) -> OwnModel:
    return OwnModel((MODELS / f"{name}.onnx").read_bytes(), labels)


def patches(width: int = 192, height: int = 128) -> Image.Image:
    """At twice the size of the models' canvas, red and blue each fill a cell of stride 16."""
    image = Image.new("RGB", (width, height), (114, 114, 114))
    image.paste(RED, (64, 32, 96, 64))
    image.paste(BLUE, (128, 96, 160, 128))
    return image


def store(bucket: Bucket, body: bytes, labels: bytes = b"red\nblue\n") -> ModelFiles:
    digests = [hashlib.sha256(each).hexdigest() for each in (body, labels)]
    keys = [f"models/{digest}" for digest in digests]
    for key, each in zip(keys, (body, labels), strict=True):
        bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=each)
    return ModelFiles(bucket.name, keys[0], digests[0], keys[1], digests[1])


def parameters(files: ModelFiles) -> dict[str, str]:
    return {name: getattr(files, name) for name in ("model", "model_sha256", "labels", "labels_sha256")}


def refusal(body: bytes, labels: tuple[str, ...] = LABELS) -> str:
    with pytest.raises(StepError) as raised:
        OwnModel(body, labels)
    assert raised.value.code is ErrorCode.MODEL_NOT_CONFIGURED
    assert "\n" not in raised.value.message
    return raised.value.message


@pytest.mark.parametrize("name", LAYOUTS)
class TestLayouts:
    def test_things_are_found_by_name_with_place_and_confidence(self, name: str) -> None:
        found = model(name).detect(patches(), 0.5, 100)
        factor = LAYOUTS[name]
        assert [(each.name, each.pixels(192, 128)) for each in found] == [
            ("blue", (128, 104, 32, 16)),
            ("red", (64, 40, 32, 16)),
        ]
        assert [each.confidence for each in found] == pytest.approx([0.9 * factor, 0.8 * factor], rel=0.05)

    def test_a_tall_picture_is_fitted_in_between_grey(self, name: str) -> None:
        tall = Image.new("RGB", (128, 256), (114, 114, 114))  # lies at 32 to 64 of the canvas, a quarter of its size
        tall.paste(RED, (64, 64, 128, 128))
        (found,) = model(name).detect(tall, 0.5, 100)
        assert (found.name, found.pixels(128, 256)) == ("red", (64, 80, 64, 32))

    def test_nothing_is_found_in_grey(self, name: str) -> None:
        assert model(name).detect(Image.new("RGB", (192, 128), (200, 200, 200)), 0.01, 100) == []


class TestShapes:
    @pytest.mark.parametrize(
        ("shape", "labels", "layout"),
        [
            ([1, 3549, 85], 80, "YOLOX"),
            ([1, 3549, 6], 1, "YOLOX"),
            ([1, 25200, 85], 80, "YOLOv5"),
            ([1, 25200, 6], 1, "YOLOv5"),
            ([1, 84, 8400], 80, "YOLOv8"),
            (["batch", 84, 8400], 80, "YOLOv8"),
            ([1, 84, 8500], 80, "YOLOv8"),
            ([1, 84, 34000], 80, "YOLOv8"),
            ([1, 6, 8400], 2, "YOLOv8"),
            ([1, 300, 6], 80, "end to end"),
            ([1, 300, 6], 296, "end to end"),
            (["batch", "found", 6], 80, "end to end"),
        ],
    )
    def test_a_layout_is_known_by_the_shape_of_the_output(self, shape: list[object], labels: int, layout: str) -> None:
        side = 416 if 3549 in shape else 640
        assert layout_of(shape, side, side, labels).name == layout

    @pytest.mark.parametrize(
        ("shape", "labels"),
        [
            ([1, 84, 8400], 79),
            ([1, 300, 84], 80),  # RT-DETR: fractions, and pictures that are stretched
            ([1, 116, 8400], 80),  # segmentation
            ([1, 1000], 1000),
            ([1, "anchors", 85], 80),
            ([1, 3, 80, 80, 85], 80),
            (["found", 7], 80),
            ([], 80),
        ],
    )
    def test_others_are_refused_with_what_would_fit(self, shape: list[object], labels: int) -> None:
        with pytest.raises(ValueError, match=rf"1 × 8400 × {labels + 5} \(YOLOX\).* 1 × {labels + 4} × 8400 \(YOLOv8"):
            layout_of(shape, 640, 640, labels)


class TestUnusableModels:
    @pytest.mark.parametrize("body", [b"", b"hello", bytes(100), (MODELS / "yolov8.onnx").read_bytes()[:2000]])
    def test_what_is_no_model_is_an_outage(self, body: bytes) -> None:
        assert refusal(body).startswith("the detection model can't be used: onnxruntime can't load it: ")

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("classifier", "its output is 1 × 2; with 2 labels and a canvas of 96 × 64 it would be 1 × 126 × 7 (YOLOX)"),
            ("any_size", "it must be float 1 × 3 × height × width with a fixed height and width"),
            ("logits", "tried on an empty picture, the detection model made confidences that are not between 0 and 1"),
        ],
    )
    def test_a_model_that_does_not_fit_says_why(self, name: str, why: str) -> None:
        assert why in refusal((MODELS / f"{name}.onnx").read_bytes())

    def test_labels_of_another_number_do_not_fit(self) -> None:
        assert "with 3 labels" in refusal((MODELS / "yolov8.onnx").read_bytes(), (*LABELS, "green"))

    def test_a_model_that_knows_more_labels_than_there_are_is_an_outage(self) -> None:
        with pytest.raises(StepError, match="by numbers up to 1; there are 1 labels") as raised:
            model("end_to_end", ("red",)).detect(patches(), 0.5, 100)
        assert raised.value.code is ErrorCode.MODEL_NOT_CONFIGURED

    def test_a_picture_that_the_model_fails_at_fails_alone(self) -> None:
        loaded = model("fails_at_black")
        with pytest.raises(StepError, match="not between 0 and 1") as raised:
            loaded.detect(Image.new("RGB", (192, 128)), 0.5, 100)
        assert raised.value.code is ErrorCode.MODEL_ANSWER_INVALID
        assert {each.name for each in loaded.detect(patches(), 0.5, 100)} == set(LABELS)


class TestFiles:
    def test_the_step_takes_model_and_labels_from_the_bucket(self, bucket: Bucket) -> None:
        files = store(bucket, (MODELS / "yolox.onnx").read_bytes(), "rot\r\nbläulich\r\n\r\n".encode())
        item = thumbnailed(bucket, encode(patches().resize((1920, 1280), Image.Resampling.NEAREST), "PNG"))
        found = detections_of(item, **parameters(files))
        assert [each.label for each in found] == ["bläulich", "rot"]
        assert found[0].overlap(1280, 1040, 1600, 1200) > 0.95
        assert found[1].overlap(640, 400, 960, 560) > 0.95

    def test_a_model_is_loaded_once_a_process(self, bucket: Bucket) -> None:
        files = store(bucket, (MODELS / "yolov8.onnx").read_bytes())
        loaded = own_model(files)
        for key in (files.model, files.labels):
            bucket.s3.delete_object(Bucket=bucket.name, Key=key)
        assert own_model(replace(files)) is loaded

    def test_another_file_than_the_recipe_says_is_an_outage(self, bucket: Bucket) -> None:
        files = store(bucket, (MODELS / "yolov8.onnx").read_bytes())
        for wrong in ({"model_sha256": "0" * 64}, {"labels_sha256": "0" * 64}):
            with pytest.raises(StepError, match="the recipe says 0000") as raised:
                own_model(replace(files, **wrong))
            assert raised.value.code is ErrorCode.MODEL_NOT_CONFIGURED

    def test_a_missing_file_is_an_outage_until_it_is_there(self, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
        files = store(bucket, (MODELS / "yolov8.onnx").read_bytes())
        missing = replace(files, model="models/none")
        item = thumbnailed(bucket, encode(patches(), "PNG"))
        told = outcome_of(item, **parameters(missing)).error
        assert told is not None
        assert (told.code, told.retryable) == (ErrorCode.MODEL_NOT_CONFIGURED, True)
        assert told.message == "the bucket has no detection model of the recipe's key, or has archived it"
        bucket.s3.put_object(Bucket=bucket.name, Key="models/none", Body=(MODELS / "yolov8.onnx").read_bytes())
        with pytest.raises(StepError, match="no detection model"):  # the rest of the batch doesn't look again
            own_model(missing)
        monkeypatch.setattr("lambdas.detect.model_files._REMEMBERED_SECONDS", 0)
        _unusable.clear()
        assert own_model(missing).detect(patches(), 0.5, 100)

    @pytest.mark.parametrize(
        ("labels", "why"),
        [
            (b"", "is empty"),
            (b"red\n\nblue", "line 2 of the labels"),
            (b"red\nbl\x00ue", "line 2 of the labels"),
            (b"x" * 101, "line 1 of the labels"),
            (b"\xff\xfe", "not UTF-8"),
        ],
    )
    def test_labels_that_are_none_are_an_outage(self, labels: bytes, why: str, bucket: Bucket) -> None:
        with pytest.raises(StepError, match=why) as raised:
            own_model(store(bucket, (MODELS / "yolov8.onnx").read_bytes(), labels))
        assert raised.value.code is ErrorCode.MODEL_NOT_CONFIGURED

    @pytest.mark.parametrize("missing", ["model_sha256", "labels", "labels_sha256"])
    def test_a_recipe_that_lacks_a_file_is_an_outage(self, missing: str, bucket: Bucket) -> None:
        item = thumbnailed(bucket, encode(patches(), "PNG"))
        given = parameters(store(bucket, (MODELS / "yolov8.onnx").read_bytes())) | {missing: None}
        told = outcome_of(item, **given).error
        assert told is not None
        assert told.code is ErrorCode.MODEL_NOT_CONFIGURED


class TestDistinct:
    def test_of_boxes_on_one_thing_the_most_confident_stays(self) -> None:
        thing = Detection("cat", 0.9, 0.1, 0.1, 0.5, 0.5)
        again, beside = replace(thing, confidence=0.8, right=0.52), replace(thing, confidence=0.7, left=0.5, right=0.9)
        assert distinct([beside, again, thing], 10) == [thing, beside]

    def test_things_of_two_classes_may_overlap_more(self) -> None:
        cat = Detection("cat", 0.9, 0.1, 0.1, 0.5, 0.5)
        dog = Detection("dog", 0.8, 0.1, 0.1, 0.5, 0.4)
        assert distinct([cat, dog], 10) == [cat, dog]
        assert distinct([cat, replace(dog, name="cat")], 10) == [cat]
        assert distinct([cat, replace(dog, bottom=0.49)], 10) == [cat]

    def test_no_more_than_asked_for(self) -> None:
        row = [Detection("cat", 0.5 + place / 100, place / 10, 0, place / 10 + 0.1, 1) for place in range(10)]
        assert distinct(row, 3) == row[:-4:-1]
