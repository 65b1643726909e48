"""Where a text is broken into lines: a small part of Unicode Standard Annex 14, enough for captions.

Between words; after hyphens; between the characters of Chinese and Japanese, but not before closing and not after opening
punctuation. Within words only where nothing else helps, and then between what readers see as characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_SPACES = " \u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u200b\u205f\u3000"
"""After which a line may end; U+00A0 and its like aren't among them."""
_HYPHENS = "-\u2010\u2013\u2014"
_JOINERS = "\u200c\u200d"
_NOT_AT_START = frozenset("ー々〻ゝゞヽヾ…‥")


def wrap(paragraph: str, fits: Callable[[str], bool], *, tears_words: bool) -> list[str] | None:
    """The paragraph's lines, each as long as `fits` lets it be, without the spaces at its ends; a blank one is one line, "".

    None if a word alone doesn't fit and mayn't be torn, or even a single character doesn't fit.
    """
    lines: list[str] = []
    line = ""
    for piece in _pieces(paragraph):
        if fits((line + piece).strip(_SPACES)) or not piece.strip(_SPACES):
            line += piece
            continue
        if line.strip(_SPACES):
            lines.append(line.strip(_SPACES))
        line = ""
        if not fits(piece.strip(_SPACES)):
            if not tears_words:
                return None
            for character in clusters(piece):
                if not fits((line + character).strip(_SPACES)):
                    if not line.strip(_SPACES):
                        return None
                    lines.append(line.strip(_SPACES))
                    line = ""
                line += character
        else:
            line = piece
    return [*lines, line.strip(_SPACES)]


def clusters(text: str) -> list[str]:
    """What readers see as characters: each with the marks on it, and with what is joined to it."""
    found: list[str] = []
    for character in text:
        joined = bool(found) and (found[-1][-1] in _JOINERS or unicodedata.combining(found[-1][-1]) == 9)
        if found and (joined or character in _JOINERS or unicodedata.category(character) in ("Mn", "Mc", "Me")):
            found[-1] += character
        else:
            found.append(character)
    return found


def _pieces(paragraph: str) -> list[str]:
    """The paragraph in parts between which a line may end. Spaces are at a part's end."""
    pieces: list[str] = []
    bases = ""
    for cluster in clusters(paragraph):
        if pieces and not _may_break(bases, cluster[0]):
            pieces[-1] += cluster
        else:
            pieces.append(cluster)
        bases += cluster[0]
    return pieces


def _may_break(before: str, first: str) -> bool:
    """Whether a line may end after the characters `before` when `first` comes next, all without their marks."""
    last = before[-1]
    if first in _SPACES or last in _SPACES:
        return first not in _SPACES
    if last in _HYPHENS:
        return before[-2:-1].isalnum() and first.isalpha()
    if not (_is_cjk(last) or _is_cjk(first)):
        return False
    return not (_never_at_start(first) or unicodedata.category(last) in ("Ps", "Pi"))


def _is_cjk(character: str) -> bool:
    """Of a script that has no spaces. Korean has."""
    wide = unicodedata.east_asian_width(character) in ("W", "F")
    return wide and not 0xAC00 <= ord(character) <= 0xD7A3


def _never_at_start(character: str) -> bool:
    small = re.match(r"(HIRAGANA|KATAKANA) LETTER SMALL ", unicodedata.name(character, ""))
    return bool(small) or character in _NOT_AT_START or unicodedata.category(character) in ("Pe", "Pf", "Po")
