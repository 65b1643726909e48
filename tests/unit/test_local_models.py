"""The embedded models on real photographs: what they see, and that what they say is well-formed and repeatable."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lambdas.analyze.colours import dominant_colours
from lambdas.analyze.local_model import analyze_image
from lambdas.analyze.schema import Analysis, BoundingBox, Category, strict_json_schema
from lambdas.analyze.vocabulary import KINDS
from lambdas.analyze.wording import summary, with_article
from lambdas.embed.local_model import DIMENSIONS, embed_text
from lambdas.runtime.vision.coco import COCO_NAMES
from lambdas.runtime.vision.detection import Detection

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
MODELS = ROOT / "lambdas" / "models"


def photo(name: str) -> Image.Image:
    return Image.open(SAMPLES / name)


def analysis_of(name: str) -> Analysis:
    image = photo(name)
    return analyze_image(image, image.width, image.height, {})


def overlap(box: BoundingBox, left: int, top: int, right: int, bottom: int) -> float:
    """Intersection over union of a box and the edges that a person would draw."""
    width = min(box.x + box.width, right) - max(box.x, left)
    height = min(box.y + box.height, bottom) - max(box.y, top)
    intersection = max(width, 0) * max(height, 0)
    return intersection / (box.width * box.height + (right - left) * (bottom - top) - intersection)


class TestPhotographs:
    @pytest.mark.parametrize(
        ("name", "category", "tags"),
        [
            ("chelsea.png", Category.ANIMAL, {"cat", "pet", "animal"}),
            ("coffee.png", Category.FOOD, {"espresso", "coffee", "cup", "drink", "food"}),
            ("astronaut.png", Category.PEOPLE, {"person", "people"}),
            ("camera.png", Category.PEOPLE, {"person", "tripod", "photography"}),
            ("china.jpg", Category.BUILDING, {"palace", "historic", "building"}),
            ("flower.jpg", Category.PLANT, {"flower", "plant"}),
            ("rocket.jpg", Category.VEHICLE, {"rocket", "space", "vehicle"}),
            ("hubble_deep_field.jpg", Category.OTHER, set()),
        ],
    )
    def test_a_photograph_gets_its_category_and_the_terms_it_is_searched_by(
        self, name: str, category: Category, tags: set[str]
    ) -> None:
        analysis = analysis_of(name)
        assert analysis.category is category
        assert tags <= set(analysis.tags)

    @pytest.mark.parametrize(
        ("name", "caption", "edges"),
        [
            ("chelsea.png", "cat", (0, 0, 451, 300)),
            ("coffee.png", "cup", (170, 20, 415, 270)),
            ("astronaut.png", "person", (0, 10, 390, 512)),
            ("camera.png", "person", (5, 65, 310, 512)),
        ],
    )
    def test_an_object_is_found_where_it_is(self, name: str, caption: str, edges: tuple[int, int, int, int]) -> None:
        (found,) = (thing for thing in analysis_of(name).objects if thing.caption == caption)
        assert found.bounding_box is not None
        assert overlap(found.bounding_box, *edges) > 0.7

    def test_the_summary_says_what_is_seen_and_how_sure_it_is(self) -> None:
        assert analysis_of("chelsea.png").summary.startswith("Looks like a cat, perhaps a striped cat; one cat detected; ")
        assert analysis_of("flower.jpg").summary.startswith("Might be a daisy; ")
        assert analysis_of("hubble_deep_field.jpg").summary == "Nothing in it was recognised with certainty; mostly black."

    def test_what_the_models_cannot_know_is_left_out(self) -> None:
        analysis = analysis_of("coffee.png")
        assert analysis.text == ()
        assert {thing.estimated_value for thing in analysis.objects} == {None}

    def test_two_runs_agree_to_the_byte_also_in_another_process(self) -> None:
        script = (
            "import sys; from PIL import Image; from lambdas.analyze.local_model import analyze_image;"
            "image = Image.open(sys.argv[1]); print(analyze_image(image, *image.size, {}).model_dump_json())"
        )
        command = [sys.executable, "-c", script, str(SAMPLES / "coffee.png")]
        elsewhere = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        assert analysis_of("coffee.png").model_dump_json() == analysis_of("coffee.png").model_dump_json() == elsewhere


class TestShapes:
    @pytest.mark.parametrize("size", [(1, 1), (1, 800), (800, 1), (3, 2)])
    def test_a_tiny_or_thin_picture_works(self, size: tuple[int, int]) -> None:
        analysis = analyze_image(Image.new("RGB", size, "#3f8f3c"), *size, {})
        assert [(colour.name, colour.share) for colour in analysis.dominant_colours] == [("green", 1.0)]

    def test_boxes_of_a_thumbnail_are_in_pixels_of_the_original(self) -> None:
        image = photo("chelsea.png")
        (small,) = analyze_image(image, image.width, image.height, {}).objects
        (large,) = analyze_image(image, image.width * 10, image.height * 10, {}).objects
        assert small.bounding_box is not None
        assert large.bounding_box is not None
        assert large.bounding_box.width == pytest.approx(small.bounding_box.width * 10, abs=10)
        assert large.bounding_box.x + large.bounding_box.width <= image.width * 10

    @pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK"])
    def test_any_mode_works(self, mode: str) -> None:
        assert analyze_image(photo("chelsea.png").convert("RGB").convert(mode), 451, 300, {}).category is Category.ANIMAL

    def test_transparency_counts_as_white(self) -> None:
        analysis = analyze_image(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), 64, 64, {})
        assert [colour.name for colour in analysis.dominant_colours] == ["white"]


class TestWording:
    def test_the_camera_and_the_month_are_said(self) -> None:
        exif = {"taken_at": "2015-03-07T14:11:02", "camera_make": "Canon", "camera_model": "Canon EOS 5D\n Mark II"}
        said = analyze_image(photo("chelsea.png"), 451, 300, exif).summary
        assert said.endswith("; taken in March 2015 with a Canon EOS 5D Mark II.")

    def test_a_make_that_the_model_does_not_repeat_is_said(self) -> None:
        assert summary(None, [], [], {"camera_make": "Apple", "camera_model": "iPhone 15"}).endswith(
            "taken with an Apple iPhone 15."
        )

    def test_things_are_counted_in_english(self) -> None:
        names = ["person"] * 2 + ["bus"] + ["sheep"] * 11 + ["wine glass"] * 3
        detections = [Detection(name, 0.9, 0.1, 0.1, 0.2, 0.2) for name in names]
        assert summary(None, detections, [], {}) == "Two people, one bus, 11 sheep and three wine glasses detected."

    def test_a_picture_full_of_everything_still_has_a_summary(self) -> None:
        detections = [Detection(name, 0.9, 0.1, 0.1, 0.2, 0.2) for name in COCO_NAMES]
        assert len(summary("looks like an espresso", detections, [], {"camera_model": "x" * 5_000})) <= 500

    @pytest.mark.parametrize("phrase", ["a cat", "an espresso", "a unicycle", "an umbrella", "jeans"])
    def test_articles(self, phrase: str) -> None:
        assert with_article(phrase.split()[-1]) == phrase


class TestColours:
    def test_shares_are_sorted_and_sum_to_at_most_one(self) -> None:
        for path in (*SAMPLES.glob("*.png"), *SAMPLES.glob("*.jpg")):
            shares = [colour.share for colour in dominant_colours(Image.open(path).convert("RGB"))]
            assert shares == sorted(shares, reverse=True)
            assert 0 < sum(shares) <= 1

    def test_halves_are_named(self) -> None:
        image = Image.new("RGB", (100, 100), "#2f66c4")
        image.paste("#ffffff", (0, 0, 100, 50))
        colours = [(colour.hex, colour.name, colour.share) for colour in dominant_colours(image)]
        assert sorted(colours) == [("#2f66c4", "blue", 0.5), ("#ffffff", "white", 0.5)]


class TestVocabulary:
    def test_every_class_of_the_classifier_has_exactly_one_kind(self) -> None:
        assert Counter(index for kind in KINDS for index in kind.imagenet) == Counter(range(1000))

    def test_every_class_of_the_detector_has_a_kind(self) -> None:
        assert {name for kind in KINDS for name in kind.coco} == set(COCO_NAMES)
        assert len(COCO_NAMES) == 80


class TestSchema:
    def test_an_analysis_survives_json(self) -> None:
        analysis = analysis_of("coffee.png")
        assert Analysis.model_validate_json(analysis.model_dump_json()) == analysis

    def test_tags_are_lower_case_and_said_once(self) -> None:
        fields = analysis_of("chelsea.png").model_dump() | {"tags": ["Cat", " cat ", "PET"]}
        assert Analysis.model_validate(fields).tags == ("cat", "pet")

    def test_a_box_is_cut_to_the_picture(self) -> None:
        assert BoundingBox.clamped(-5, 10.4, 120, 30.6, 100, 50) == BoundingBox(x=0, y=10, width=100, height=21)
        assert BoundingBox.clamped(101, 0, 120, 30, 100, 50) is None

    def test_the_strict_schema_has_only_what_strict_modes_take(self) -> None:
        def check(node: dict[str, Any]) -> None:
            assert set(node) <= {
                "type", "enum", "description", "anyOf", "items", "properties", "required", "additionalProperties",
            }  # fmt: skip
            assert ("type" in node) != ("anyOf" in node)
            if node.get("type") == "object":
                assert node["additionalProperties"] is False
                assert node["required"] == list(node["properties"])
            for child in (*node.get("properties", {}).values(), *node.get("anyOf", ())):
                check(child)
            if "items" in node:
                check(node["items"])

        schema = strict_json_schema()
        check(schema)
        assert list(schema["properties"]) == list(Analysis.model_fields)
        json.dumps(schema)


class TestEmbedding:
    def test_a_vector_has_length_one_and_the_shortest_decimals_of_float32(self) -> None:
        vector = embed_text("Looks like a cat, perhaps a tabby cat; one cat detected.")
        assert len(vector) == DIMENSIONS
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
        assert all(str(np.float32(value)) == str(value) for value in vector)

    def test_meaning_is_closer_than_words(self) -> None:
        cat, road, kitten = (
            np.array(embed_text(text)) for text in (analysis_of("chelsea.png").summary, "mountain road", "kitten")
        )
        assert kitten @ cat > kitten @ road + 0.1

    @pytest.mark.parametrize(
        ("query", "best"),
        [
            ("kitten", "chelsea.png"),
            ("hot drink", "coffee.png"),
            ("space launch", "rocket.jpg"),
            ("blossom", "flower.jpg"),
            ("royal residence", "china.jpg"),
        ],
    )
    def test_a_search_in_other_words_finds_the_photograph(self, query: str, best: str) -> None:
        def text(name: str) -> str:
            analysis = analysis_of(name)
            return f"{analysis.summary} {', '.join(analysis.tags)}"

        names = sorted(path.name for path in SAMPLES.iterdir() if path.suffix in (".png", ".jpg"))
        scores = {name: np.dot(embed_text(query), embed_text(text(name))) for name in names}
        assert max(scores, key=scores.__getitem__) == best

    def test_the_end_of_a_very_long_text_is_left_out(self) -> None:
        assert embed_text("cat " * 5_000) == embed_text("cat " * 254)

    def test_no_text_has_no_vector(self) -> None:
        with pytest.raises(ValueError, match="no text"):
            embed_text(" \n")


class TestWeights:
    def test_the_files_are_the_ones_that_their_provenance_names(self) -> None:
        listed = dict(line.split()[::-1] for line in (MODELS / "SHA256SUMS").read_text().splitlines())
        present = {path.name for path in MODELS.iterdir() if path.suffix == ".onnx" or path.name.endswith("vocab.txt")}
        assert set(listed) == present
        for name, digest in listed.items():
            assert hashlib.sha256((MODELS / name).read_bytes()).hexdigest() == digest

    def test_they_fit_into_a_function_bundle(self) -> None:
        assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) < 25_000_000

    @pytest.mark.parametrize("module", ["lambdas.analyze.local_model", "lambdas.embed.local_model"])
    def test_importing_a_provider_is_quick(self, module: str) -> None:
        script = f"import time; start = time.process_time(); import {module}; print(time.process_time() - start)"
        seconds = float(subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True).stdout)
        assert seconds < 1
