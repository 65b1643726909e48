"""Boxes and labels on small pictures: where they belong, readable, and never outside."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from media_assets.defs.boxes import MOST_BOXES, Box, with_boxes

GREY = (128, 128, 128)


def picture(width: int = 280, height: int = 187) -> Image.Image:
    return Image.new("RGB", (width, height), GREY)


def drawn_in(after: Image.Image, before: Image.Image) -> tuple[int, int, int, int]:
    """What holds everything that was drawn."""
    box = ImageChops.difference(after, before).getbbox()
    assert box is not None
    return box


def test_a_box_of_the_original_is_scaled_to_the_picture() -> None:
    after = with_boxes(picture(280, 140), [Box("cat", 0.9, 1000, 500, 500, 400)], 2800, 1400)
    left, top, right, bottom = drawn_in(after, picture(280, 140))
    assert (left, right, bottom) == (100, 150, 90)
    assert 35 <= top < 50  # its label stands above it
    assert after.getpixel((125, 70)) == GREY
    assert after.getpixel((100, 70)) == after.getpixel((149, 60)) == after.getpixel((120, 89)) != GREY


def test_a_label_stands_on_the_colour_of_its_box() -> None:
    after = with_boxes(picture(), [Box("cat", 0.9, 50, 50, 150, 100)], 280, 187)
    seen = {hue: count for count, hue in after.crop((50, 38, 90, 50)).getcolors(10_000) or ()}
    assert max(seen, key=lambda hue: seen[hue]) == after.getpixel((50, 100))


@pytest.mark.parametrize(
    "label", ["person", "cat", "dog", "car", "bicycle", "umbrella", "cup", "book", "clock", "sofa", "vase"]
)
def test_every_labels_text_is_readable(label: str) -> None:
    after = with_boxes(picture(), [Box(label, 0.5, 20, 60, 200, 100)], 280, 187)
    colour = after.getpixel((20, 120))
    hues = [hue for _, hue in after.getcolors(10_000) or () if hue != GREY]
    assert max(contrast(hue, colour) for hue in hues) >= 4.5  # WCAG 2, level AA


def test_equal_labels_have_equal_colours() -> None:
    after = with_boxes(picture(), [Box("cat", 0.9, 10, 60, 60, 60), Box("cat", 0.5, 150, 60, 60, 60)], 280, 187)
    assert after.getpixel((10, 100)) == after.getpixel((150, 100))


def test_more_than_hides_the_picture_is_not_drawn() -> None:
    boxes = [Box("cat", 0.9 - 0.01 * n, 10 * n, 0, 9, 180) for n in range(MOST_BOXES + 8)]
    after = with_boxes(picture(), boxes, 280, 187)
    assert drawn_in(after, picture())[2] <= 10 * MOST_BOXES + 60  # the last label is wider than its box
    assert after.getpixel((10 * MOST_BOXES + 45, 120)) == GREY


def test_the_picture_itself_stays_as_it_is() -> None:
    before = picture()
    with_boxes(before, [Box("cat", 0.9, 10, 10, 50, 50)], 280, 187)
    assert before.getcolors() == [(280 * 187, GREY)]


edges = st.integers(0, 4000)


@given(
    st.integers(1, 280),
    st.integers(1, 280),
    st.lists(
        st.builds(Box, st.text(max_size=60), st.floats(0, 1), edges, edges, st.integers(1, 4000), st.integers(1, 4000)),
        max_size=15,
    ),
)
def test_no_box_and_no_label_breaks_a_sheet(width: int, height: int, boxes: list[Box]) -> None:
    after = with_boxes(picture(width, height), boxes, 4000, 4000)
    assert (after.mode, after.size) == ("RGB", (width, height))


def contrast(one: object, other: object) -> float:
    """As WCAG 2 defines it."""

    def luminance(colour: object) -> float:
        assert isinstance(colour, tuple)
        linear = [c / 255 / 12.92 if c / 255 <= 0.03928 else math.pow((c / 255 + 0.055) / 1.055, 2.4) for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
