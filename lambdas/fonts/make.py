"""Makes overlay-sans.ttf, one font out of two, and lambdas/runtime/font_coverage.py, the characters that it has.

One font and not a chain of them: bidirectional order and shaping are of a whole line, and drawing a line in pieces, a font
each, gets both wrong where the pieces meet. README.md says where the sources come from and how to run this.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

from fontTools import subset  # type: ignore[import-not-found, unused-ignore]  # for making it only, as all of fontTools
from fontTools.merge import Merger  # type: ignore[import-not-found, unused-ignore]
from fontTools.ttLib import TTFont  # type: ignore[import-not-found, unused-ignore]
from fontTools.ttLib.scaleUpem import scale_upem  # type: ignore[import-not-found, unused-ignore]

HERE = Path(__file__).parent
COVERAGE = HERE.parent / "runtime" / "font_coverage.py"
NAMES = {
    0: "Copyright 2003 Bitstream, Inc.; 2006 Tavmjong Bah; 2006 Google Corporation. DejaVu changes are in public domain.",
    1: "Overlay Sans",
    2: "Bold",
    3: "Overlay Sans Bold 1",
    4: "Overlay Sans Bold",
    5: "Version 1.000",
    6: "OverlaySans-Bold",
    13: "Bitstream Vera and Arev font licences; Apache License, Version 2.0",
}
"""By the numbers of OpenType's name table."""
UNITS_PER_EM = 2048
FIRST, SECOND = "DejaVuSans-Bold.ttf", "DroidSansFallback.ttf"
"""Of a character that both have, the first's glyph counts."""
MADE = 3_849_984_000
"""2026-01-01 in seconds since 1904, as fonts count: with the time of making in it no two would be equal."""


def part(source: Path, without: set[int]) -> TTFont:
    """The font's glyphs but for those of some characters, without hints, which scaling spoils.

    The second font's layout tables are left out: they are for vertical text, and for Hangul in parts, which NFC puts together.
    """
    font = TTFont(source, recalcTimestamp=False)
    first = source.name == FIRST
    options = subset.Options(hinting=False, glyph_names=False, legacy_kern=False, notdef_outline=True)
    options.layout_features = ["*"] if first else []
    options.drop_tables += ["FFTM", "gasp", "vhea", "vmtx", *([] if first else ["GSUB", "GPOS", "GDEF"])]
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=set(font.getBestCmap()) - without)
    subsetter.subset(font)
    scale_upem(font, UNITS_PER_EM)
    return font


def merged(sources: Path) -> TTFont:
    """The font, under a name of its own: the licence of DejaVu's outlines wants that."""
    known: set[int] = set()
    with TemporaryDirectory() as folder:
        parts = [Path(folder) / name for name in (FIRST, SECOND)]
        for path in parts:
            font = part(sources / path.name, known)
            known |= set(font.getBestCmap())
            font.save(path)
        font = Merger().merge([str(path) for path in parts])
        font.recalcTimestamp = False
        font["head"].created = font["head"].modified = MADE
        names = font["name"]
        names.names = []
        for number, text in NAMES.items():
            names.setName(text, number, 3, 1, 0x409)
        font.save(HERE / "overlay-sans.ttf")
    return font


def coverage(characters: list[int]) -> str:
    """The source of a module that holds the characters as ranges, in a string of hexadecimal numbers."""
    ranges = []
    for _, run in groupby(enumerate(sorted(characters)), lambda pair: pair[1] - pair[0]):
        members = [character for _, character in run]
        ranges.append(f"{members[0]:x}" + (f"-{members[-1]:x}" if len(members) > 1 else ""))
    lines = [""]
    for each in ranges:
        if len(lines[-1]) + len(each) > 120:
            lines.append("")
        lines[-1] += f" {each}" if lines[-1] else each
    return "\n".join(
        (
            '"""The characters that lambdas/fonts/overlay-sans.ttf has. Made along with it, by lambdas/fonts/make.py."""',
            "",
            'RANGES = """',
            *lines,
            '"""',
            '"""Code points and ranges of them, both ends included, in hexadecimal."""',
            "",
        )
    )


if __name__ == "__main__":
    COVERAGE.write_text(coverage(list(merged(Path(sys.argv[1])).getBestCmap())))
