"""What benchmarks compare the stack with does the same work: all steps, all rows; and how pictures are told apart."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks.one_photo import COLUMNS, FUNCTIONS, local, process
from benchmarks.peer import peer
from benchmarks.ssim import ssim
from media_assets.steps.catalogue import STEPS


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)).filter(ImageFilter.BoxBlur(2))


def test_a_photo_goes_through_every_step_and_has_a_row_in_every_read_model(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "photo.jpg")
    rows = process(local(tmp_path / "photo.jpg", tmp_path))

    assert {table for table, found in rows.items() if found} | {"detections"} == set(COLUMNS)
    assert all(len(row) == len(COLUMNS[table]) for table, found in rows.items() for row in found)
    recipes = {row[COLUMNS[table].index("recipe")] for table, found in rows.items() if table != "items" for row in found}
    assert len(recipes) == len({table for table, found in rows.items() if found} - {"items"})
    [item] = (dict(zip(COLUMNS["items"], row, strict=True)) for row in rows["items"])
    assert (item["width"], item["height"], item["format"]) == (160, 120, "jpeg")
    for row in rows["thumbnails"]:
        made = dict(zip(COLUMNS["thumbnails"], row, strict=True))
        assert (tmp_path / made["key"]).stat().st_size == made["size_bytes"]


def test_every_step_of_a_photo_takes_part() -> None:
    assert FUNCTIONS.keys() == {name for name, step in STEPS.items() if "image" in step.kinds}


def test_ssim_is_one_for_the_same_and_less_the_less_alike(picture: Image.Image) -> None:
    soft, softer = (picture.filter(ImageFilter.GaussianBlur(radius)) for radius in (1, 3))
    assert ssim(picture, picture) == pytest.approx(1)
    assert 1 > ssim(picture, soft) > ssim(picture, softer) > ssim(picture, Image.new("RGB", picture.size)) > -1


def test_a_process_answers_until_it_ends(tmp_path: Path, picture: Image.Image) -> None:
    picture.save(tmp_path / "photo.jpg")
    question = {"picture": str(tmp_path / "photo.jpg"), "sizes": [64, 32], "quality": 80, "effort": 0, "way": ""}
    with peer(sys.executable, "benchmarks.thumbnail_worker") as worker:
        assert worker.ask(**question, folder=str(tmp_path)) > 0
        assert Image.open(tmp_path / "32.webp").size == (32, 24)
        with pytest.raises(RuntimeError, match="thumbnail_worker"):
            worker.ask(**question, folder=str(tmp_path / "missing"))
