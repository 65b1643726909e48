"""The layer with the text: where it is, that it can be read on anything, and that every text that is let in fits."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, features

from lambdas.runtime.overlay_text import MAX_CHARACTERS, MAX_LINES, UnusableText
from lambdas.segment.overlay import HIGHEST, MARGIN, render

LETTERS = "aegWMÅjy ,.-ßЖעשم永あ한…\n"


def ink(layer: Image.Image) -> tuple[int, int, int, int]:
    """What isn't transparent: left, top, right, bottom."""
    box = layer.getchannel("A").getbbox()
    assert box is not None
    return box


@given(
    text=st.text(alphabet=LETTERS, min_size=1, max_size=MAX_CHARACTERS).filter(
        lambda text: text.strip() and text.count("\n") < MAX_LINES
    ),
    width=st.integers(320, 1600),
    height=st.integers(320, 1600),
)
@example(text="W" * MAX_CHARACTERS, width=320, height=320)
@example(text="ᙶ" * MAX_CHARACTERS, width=320, height=320)  # the widest there is: two ems
@example(text="永" * MAX_CHARACTERS, width=1080, height=1080)
@example(text=("W" * 38 + "\n") * 5 + "W", width=320, height=2000)
@example(text="a\n\n\n\n\nb", width=1600, height=320)
@settings(max_examples=15, deadline=None)
def test_every_text_fits_between_the_margins_and_stands_in_the_middle(text: str, width: int, height: int) -> None:
    layer = render(text, width, height)
    assert (layer.mode, layer.size) == ("RGBA", (width, height))
    left, top, right, bottom = ink(layer)
    assert left >= math.ceil(width * MARGIN)
    assert right <= width - math.ceil(width * MARGIN)
    assert bottom <= math.floor(height * (1 - MARGIN))
    assert bottom - top <= height * HIGHEST
    assert (top + bottom) / 2 > height * 0.66
    assert abs((left + right) - width) <= 4 + 0.01 * width


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (640, 360), (1080, 1920), (720, 720)])
def test_a_short_text_has_the_usual_size_and_stands_in_the_bottom_third(width: int, height: int) -> None:
    _, top, _, bottom = ink(render("Hx", width, height))
    capital = 0.73 * 0.06 * min(width, height)  # DejaVu's capitals have 0.73 of the size
    assert bottom - top == pytest.approx(capital, abs=0.2 * capital + 3)
    assert top > height * 2 / 3
    assert bottom < height * (1 - MARGIN)


def lines_of(layer: Image.Image) -> list[int]:
    """How high each line is, in pixels: rows with ink that are next to each other."""
    alpha = layer.getchannel("A")
    rows = "".join("#" if alpha.crop((0, row, layer.width, row + 1)).getbbox() else " " for row in range(layer.height))
    return [len(line) for line in rows.split()]


def test_a_text_is_wrapped_first_and_made_smaller_only_then() -> None:
    one, few, many = (lines_of(render("ded " * count, 360, 360)) for count in (1, 10, 50))
    assert (len(one), len(few)) == (1, 2)
    assert one[0] == few[0] == few[-1]
    assert len(many) > 5
    assert many[0] < one[0]


def test_words_are_torn_only_where_no_size_would_do() -> None:
    usual = lines_of(render("ded", 320, 320))[0]
    [whole] = lines_of(render("ded" * 9, 320, 320))
    assert whole < usual
    torn = lines_of(render("ded" * 20, 320, 320))
    assert len(torn) > 1
    assert torn[0] == usual


@pytest.mark.parametrize("ground", ["black", "white", "gray"])
def test_it_can_be_told_from_any_ground(ground: str) -> None:
    frame = Image.new("RGBA", (640, 360), ground)
    frame.alpha_composite(render("Readable", 640, 360))
    darkest, brightest = frame.convert("L").crop(ink(render("Readable", 640, 360))).getextrema()
    assert (darkest, brightest) == (0, 255)


def test_white_letters_have_a_black_outline_all_around() -> None:
    layer = render("O", 1280, 720)
    letters = layer.convert("L").point(lambda value: 255 if value > 127 else 0)
    opaque = layer.getchannel("A").point(lambda value: 255 if value > 127 else 0)
    outer, inner = opaque.getbbox(), letters.getbbox()
    assert outer is not None
    assert inner is not None
    assert [abs(a - b) for a, b in zip(outer, inner, strict=True)] == pytest.approx([3, 3, 3, 3], abs=1)


def test_the_same_text_gives_the_same_pixels() -> None:
    text = "Same again: שלום, 世界, Ångström"
    assert render(text, 640, 360).tobytes() == render(text, 640, 360).tobytes()
    assert ImageChops.difference(render("Zu\u0308rich", 640, 360), render("Z\u00fcrich", 640, 360)).getbbox() is None


def test_right_to_left_text_begins_on_the_right() -> None:
    for text, begins_right in (("ש............", True), ("W............", False)):
        layer = render(text, 640, 360)
        left, right = (ink(layer.crop((x, 0, x + 320, 360))) for x in (0, 320))
        assert (right[1] < left[1]) == begins_right, "dots are lower than letters"


def test_left_to_right_words_keep_their_order_in_right_to_left_text() -> None:
    """The digits are of the first source font, the ideographs of the second."""
    alone, within = render("中文 42 世界", 640, 360), render("שם 中文 42 世界", 640, 360)
    words = alone.crop(ink(alone))
    left, top, _, _ = ink(within)
    places = [(left, y, left + words.width - 3, y + words.height) for y in range(top - 8, top + 8)]
    assert words.crop((0, 0, words.width - 3, words.height)).tobytes() in [within.crop(place).tobytes() for place in places]


@pytest.mark.parametrize("text", ["שלום", "مرحبا", "x̂"])
def test_text_that_would_come_out_wrong_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a Pillow that finds no FriBiDi
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(UnusableText, match="FriBiDi"):
        render(text, 640, 360)
    assert ink(render("Việt 中文", 640, 360))


@pytest.mark.parametrize(("text", "width", "height"), [("word " * 30, 160, 120), ("W", 16, 16), ("W", 4000, 12)])
def test_what_does_not_fit_is_refused(text: str, width: int, height: int) -> None:
    with pytest.raises(UnusableText, match=f"{width} × {height}"):
        render(text, width, height)


def test_a_character_without_a_glyph_is_named() -> None:
    with pytest.raises(UnusableText, match=r"U\+1F984"):
        render("a 🦄", 640, 360)
