"""Which texts can be drawn over a video: what is asked before a job starts, of a model's answer, and of what is drawn.

Whatever passes fits into any frame that isn't tiny (lambdas/segment/overlay.py), so that no job fails for its text after
work on it began. Needs no Pillow: the font's characters are in a file of their own.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from lambdas.runtime.font_coverage import RANGES

MAX_CHARACTERS = 200
MAX_LINES = 6
"""Of the text as it is written, before it is wrapped."""
MAX_MARKS = 4
"""Combining marks on one character. Hebrew with points and accents has that many; more would grow out of the frame."""
MAX_CONTEXT_CHARACTERS = 2000
"""Of what a model is told about a text that it varies."""
MAX_VARIATIONS = 100
"""How many variations of a text a model is asked for."""

_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They reach across line ends, which wrapping moves."""
_BLANKS = frozenset("\u2800\u3164\ufffc")
"""Letters and symbols by their category, without ink."""
_NAMED = 10


class UnusableText(ValueError):
    """A text can't be drawn. The message says why, naming characters by their code points."""


def checked(text: str) -> str:
    """The text as it is drawn: NFC, lines ended by a line feed.

    Raises UnusableText for one that is too long, blank, or has characters that control something or have no glyph.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    if len(text) > MAX_CHARACTERS:
        raise UnusableText(f"the text has {len(text)} characters; it may have {MAX_CHARACTERS}")
    if (lines := len(text.split("\n"))) > MAX_LINES:
        raise UnusableText(f"the text has {lines} lines; it may have {MAX_LINES}")
    if controls := list(dict.fromkeys(character for character in text if _controls(character))):
        raise UnusableText(f"the text has control characters: {named(controls)}")
    if all(unicodedata.category(character)[0] in "ZCM" or character in _BLANKS for character in text):
        raise UnusableText("the text is blank")
    if missing := uncovered(text):
        raise UnusableText(f"the font has no glyph for {named(missing)}")
    marks = "".join("m" if unicodedata.category(character) in ("Mn", "Me") else "-" for character in text)
    if "m" * (MAX_MARKS + 1) in marks:
        raise UnusableText(f"a character has more than {MAX_MARKS} combining marks")
    return text


def uncovered(text: str) -> list[str]:
    """The text's distinct characters that the font has no glyph for, in order."""
    covered = _covered()
    return list(dict.fromkeys(character for character in text if character != "\n" and ord(character) not in covered))


def needs_shaping(text: str) -> bool:
    """Whether drawing it character by character, from left to right, would be wrong: it takes FriBiDi to draw it."""
    return any(
        unicodedata.bidirectional(character) in ("R", "AL", "AN") or unicodedata.category(character) in ("Mn", "Mc", "Me")
        for character in unicodedata.normalize("NFC", text)
    )


def named(characters: list[str]) -> str:
    """Characters as people can look them up: `U+1F600 GRINNING FACE, U+0007`; of many, the first ten."""
    names = [f"U+{ord(each):04X} {unicodedata.name(each, '')}".rstrip() for each in characters[:_NAMED]]
    return ", ".join(names) + (f" and {len(characters) - _NAMED} others" if len(characters) > _NAMED else "")


def _controls(character: str) -> bool:
    """Whether it is a control character, a lone surrogate or a separator of lines other than a line feed."""
    return character != "\n" and (unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDI_CONTROLS)


@cache
def _covered() -> frozenset[int]:
    characters: set[int] = set()
    for first, last in re.findall(r"([0-9a-f]+)(?:-([0-9a-f]+))?", RANGES):
        characters.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(characters)
