"""Texts as transparent pictures for ffmpeg: each as large as the text needs, all of one size, shown one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import ffmpeg
from PIL import Image

from lambdas.segment.overlay import render
from lambdas.segment.shots import EARLY_MS, Cuts

_LIST = "layers.ffconcat"
Box = tuple[int, int, int, int]
_NOTHING: Box = (0, 0, 2, 2)


@dataclass(frozen=True)
class Layers:
    """Pictures in the item's folder, and where in the frame their upper left corner is."""

    files: tuple[str, ...]
    durations_ms: tuple[int, ...]
    x: int
    y: int

    def over(self, folder: Path, video: Any, offset_ms: float) -> Any:
        """The video, a stream of ffmpeg-python that begins at `offset_ms`, with each text over its segment."""
        if len(self.files) == 1:
            layer = ffmpeg.input(self.files[0], f="png_pipe", protocol_whitelist="file")
        else:
            entries = zip(self.files, self.durations_ms, strict=True)
            lines = (f"file {name}\noption framerate 1000\nduration {ms / 1000:.3f}\n" for name, ms in entries)
            (folder / _LIST).write_text("ffconcat version 1.0\n" + "".join(lines))
            layer = ffmpeg.input(_LIST, f="concat", safe=0, protocol_whitelist="file", itsoffset=f"{offset_ms / 1000:.4f}")
        return video.overlay(layer, x=self.x, y=self.y, eof_action="repeat")


def write_layers(folder: Path, texts: Sequence[str], cuts: Cuts, width: int, height: int) -> Layers:
    """Render the texts, one for all or one a segment, for frames of that size."""
    if len(set(texts)) == 1:
        texts, cuts = texts[:1], ((cuts[0][0], cuts[-1][1]),)
    files = tuple(f"text_{index:04d}.png" for index in range(len(texts)))
    boxes = [_write_cropped(folder / name, text, width, height) for name, text in zip(files, texts, strict=True)]
    union = reduce(_both, boxes)
    for name, box in zip(files, boxes, strict=True):
        _enlarge(folder / name, box, union)
    ends = [end - EARLY_MS for _, end in cuts]
    durations = tuple(end - start for start, end in zip([0, *ends], ends, strict=False))
    return Layers(files, durations, union[0], union[1])


def _write_cropped(path: Path, text: str, width: int, height: int) -> Box:
    layer = render(text, width, height)
    left, upper, right, lower = layer.getchannel("A").getbbox() or _NOTHING
    # Colours have half the resolution: an odd corner would shift them.
    box = (left - left % 2, upper - upper % 2, min(right + right % 2, width), min(lower + lower % 2, height))
    layer.crop(box).save(path, compress_level=1)
    return box


def _enlarge(path: Path, box: Box, union: Box) -> None:
    if box == union:
        return
    layer = Image.new("RGBA", (union[2] - union[0], union[3] - union[1]))
    with Image.open(path, formats=["PNG"]) as cropped:
        layer.paste(cropped, (box[0] - union[0], box[1] - union[1]))
    layer.save(path, compress_level=1)


def _both(one: Box, other: Box) -> Box:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
