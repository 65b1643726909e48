"""Pictures as the thumbnail step makes them, on one core: what thumbnail.py measures of ours."""

from __future__ import annotations

import io
from pathlib import Path

from benchmarks.one_core import milliseconds
from benchmarks.peer import answer
from lambdas.runtime.images.header import read_header
from lambdas.thumbnail.decode import decode
from lambdas.thumbnail.renditions import render

_MAX_PIXELS = 100_000_000


def thumbnails(body: bytes, sizes: list[int], quality: int, method: int) -> dict[int, bytes]:
    header = read_header(io.BytesIO(body), len(body), _MAX_PIXELS)
    done = render(decode(body, header, max(sizes), _MAX_PIXELS), sizes, quality, method)
    return {rendition.size: rendition.webp for rendition in done.renditions}


def handle(picture: str, sizes: list[int], quality: int, effort: int, way: str, folder: str) -> float:
    """CPU milliseconds a picture; the thumbnails are left in `folder`."""
    body = Path(picture).read_bytes()
    took, made = milliseconds(lambda: thumbnails(body, sizes, quality, effort))
    for size, webp in made.items():
        (Path(folder) / f"{size}.webp").write_bytes(webp)
    return took


if __name__ == "__main__":
    answer(handle)
