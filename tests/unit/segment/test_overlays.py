"""Texts are over their segments: each from the first picture of it to the last, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from lambdas.runtime.contract import ErrorCode
from lambdas.segment.overlay import render
from tests.unit.conftest import Bucket, error
from tests.unit.segment.segmenting import outcome_of, planned, segmented, uploaded
from tests.unit.videos import Videos


def grey(videos: Videos, *, size: str = "320x180", seconds: int = 2) -> Any:
    return videos.make(
        "-f", "lavfi", "-i", f"color=gray:size={size}:rate=10:duration={seconds}",
        "-c:v", "libx264", "-preset", "ultrafast", ".mp4",
    )  # fmt: skip


def expected(text: str, width: int, height: int) -> Image.Image:
    picture = Image.new("RGBA", (width, height), (128, 128, 128, 255))
    picture.alpha_composite(render(text, width, height))
    return picture.convert("L")


def unlike(picture: Image.Image, text: str) -> float:
    """Mean difference in grey levels from the picture that has the text."""
    difference = ImageChops.difference(picture.convert("L"), expected(text, *picture.size))
    return float(ImageStat.Stat(difference).mean[0])


def test_one_text_for_all(bucket: Bucket, videos: Videos) -> None:
    found = segmented(bucket, planned(uploaded(bucket, grey(videos)), 700, texts=["Guten Morgen, Ada"]))
    assert found.mode == "encoded"
    assert [segment.text for segment in found.segments] == ["Guten Morgen, Ada"] * 3
    for segment in found.segments:
        assert segment.frames[0].key_frame
        assert max(unlike(segment.picture(index), "Guten Morgen, Ada") for index in range(len(segment.frames))) < 3


def test_a_text_a_segment_changes_with_the_segment(bucket: Bucket, videos: Videos) -> None:
    texts = ["Frühling", "ein langer Sommer an der See", "Herbst", "Winter"]
    found = segmented(bucket, planned(uploaded(bucket, grey(videos)), 500, texts=texts))
    assert [segment.text for segment in found.segments] == texts
    for segment in found.segments:
        for index in range(len(segment.frames)):
            picture = segment.picture(index)
            assert min(texts, key=lambda text: unlike(picture, text)) == segment.text
            assert unlike(picture, segment.text or "") < 3


def test_many_texts(bucket: Bucket, videos: Videos) -> None:
    texts = [f"Nr. {number}" for number in range(60)]
    found = segmented(bucket, planned(uploaded(bucket, grey(videos, size="160x90", seconds=6)), 100, texts=texts))
    assert [segment.text for segment in found.segments] == texts
    for segment in found.segments[::19]:
        assert min(texts, key=lambda text: unlike(segment.picture(0), text)) == segment.text


def test_a_text_is_upright_over_a_video_that_was_turned_or_stretched(bucket: Bucket, videos: Videos) -> None:
    for name, size in (("rotated_90", (120, 160)), ("anamorphic", (212, 120))):
        item = uploaded(bucket, videos(name))
        plain = segmented(bucket, planned(item, 5000), exact=True).segments[0].picture(3)
        written = segmented(bucket, planned(item, 5000, texts=["Ada"])).segments[0].picture(3)
        assert plain.size == written.size == size
        layer = render("Ada", *size)
        changed = (
            ImageChops.difference(plain.convert("L"), written.convert("L")).point(lambda level: 255 * (level > 60)).getbbox()
        )
        assert changed == pytest.approx(layer.getchannel("A").getbbox(), abs=5)


def test_where_segments_become_one_the_first_text_is_the_one_that_is_told(bucket: Bucket, videos: Videos) -> None:
    cuts = [[0, 500], [500, 510], [510, 520], [520, 2000]]
    found = segmented(bucket, planned(uploaded(bucket, grey(videos)), cuts=cuts, texts=["a", "b", "c", "d"]))
    assert [(segment.start_ms, segment.text) for segment in found.segments] == [(0, "a"), (500, "b"), (600, "d")]
    for segment in found.segments:
        assert all(unlike(segment.picture(index), segment.text or "") < 1 for index in range(len(segment.frames)))


def test_a_text_that_cant_be_drawn_is_an_error_with_its_reason(bucket: Bucket, videos: Videos) -> None:
    outcome = outcome_of(planned(uploaded(bucket, grey(videos)), 1000, texts=["Ada \ue000"]))
    assert error(outcome) == (ErrorCode.STEP_ERROR, "the font has no glyph for U+E000", False)
