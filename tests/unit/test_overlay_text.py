"""Which texts may be laid over a video, and that what is said about the font is true of it."""

from __future__ import annotations

import hashlib
import struct
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.runtime.overlay_text import (
    MAX_CHARACTERS,
    MAX_LINES,
    MAX_MARKS,
    UnusableText,
    checked,
    named,
    needs_shaping,
    uncovered,
)

FONTS = Path(__file__).parents[2] / "lambdas" / "fonts"


def characters_of(font: bytes) -> set[int]:
    """The code points in a font's cmap, of which ours has a table in format 12 (OpenType 1.9, cmap)."""
    tables = {font[at : at + 4]: struct.unpack(">I", font[at + 8 : at + 12])[0] for at in range(12, 12 + 16 * font[5], 16)}
    cmap = tables[b"cmap"]
    (count,) = struct.unpack(">H", font[cmap + 2 : cmap + 4])
    found: set[int] = set()
    for record in range(count):
        at = cmap + struct.unpack(">I", font[cmap + 8 + 8 * record : cmap + 12 + 8 * record])[0]
        if struct.unpack(">H", font[at : at + 2]) == (12,):
            (groups,) = struct.unpack(">I", font[at + 12 : at + 16])
            for first, last, _ in struct.iter_unpack(">III", font[at + 16 : at + 16 + 12 * groups]):
                found.update(range(first, last + 1))
    return found


def test_what_is_said_to_be_covered_is_what_the_font_has() -> None:
    has = characters_of((FONTS / "overlay-sans.ttf").read_bytes())
    assert len(has) > 30_000
    every = "".join(map(chr, range(0x110000)))
    assert set(uncovered(every)) == set(every) - {chr(code) for code in has} - {"\n"}


def test_the_font_is_the_one_that_its_readme_speaks_of() -> None:
    digest = hashlib.sha256((FONTS / "overlay-sans.ttf").read_bytes()).hexdigest()
    assert digest in (FONTS / "README.md").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "Bikes at 5 o'clock", "Tiếng Việt", "Ελληνικά", "русский", "עברית", "العربية", "汉字", "漢字かなカナ", "한국어",
        "ქართული", "two\nlines", "→ ★ ♥", "x̂",
    ],
)  # fmt: skip
def test_texts_in_many_scripts_can_be_drawn(text: str) -> None:
    assert checked(text) == unicodedata.normalize("NFC", text)


def test_what_looks_the_same_is_the_same() -> None:
    assert checked("Zu\u0308rich\r\nBern") == "Z\u00fcrich\nBern"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "blank"),
        (" \u3000\n\u200b", "blank"),
        ("\u2800\u3164\ufe0f", "blank"),
        ("a" * (MAX_CHARACTERS + 1), "201 characters"),
        ("a\n" * MAX_LINES, "7 lines"),
        ("bell\a", r"control characters: U\+0007"),
        ("tab\t", r"control characters: U\+0009"),
        ("line\u2028line", r"U\+2028 LINE SEPARATOR"),
        ("\u202eevil", r"U\+202E RIGHT-TO-LEFT OVERRIDE"),
        ("half \ud83d", r"U\+D83D"),
        ("nice 🚲 and 🦄🦄", r"no glyph for U\+1F6B2 BICYCLE, U\+1F984 UNICORN FACE$"),
        ("नमस्ते", "DEVANAGARI LETTER NA"),
        ("z" + "\u0301" * (MAX_MARKS + 2), "combining marks"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_named(text: str, says: str) -> None:
    with pytest.raises(UnusableText, match=says):
        checked(text)


@given(st.text(max_size=20))
def test_any_text_is_either_refused_or_stays_as_it_is_then(text: str) -> None:
    try:
        drawn = checked(text)
    except UnusableText as refusal:
        refusal.args[0].encode()
    else:
        assert checked(drawn) == drawn
        assert uncovered(drawn) == []


def test_of_many_characters_ten_are_named() -> None:
    assert named([chr(0x1F600 + number) for number in range(12)]).endswith("and 2 others")
    assert named(["\x07"]) == "U+0007"


def test_what_takes_more_than_one_glyph_after_another() -> None:
    assert [text for text in ("abc", "Việt", "中文", "한국", "x̂", "שלום", "سلام", "a ١٢") if needs_shaping(text)] == [
        "x̂", "שלום", "سلام", "a ١٢",
    ]  # fmt: skip
