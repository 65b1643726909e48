"""The same pictures by libvips, in the environment of what is compared with; its placeholder is hashed by our function.

`each` takes every size from the file, as the documentation of thumbnail_buffer has it; `chain` takes each from the next
larger one, as ours does. One thread, no cache of operations.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["VIPS_CONCURRENCY"] = "1"

import pyvips  # type: ignore[import-not-found]

from benchmarks.one_core import milliseconds
from benchmarks.peer import answer
from lambdas.thumbnail.placeholder import MAX_SIDE, thumbhash


def thumbnails(body: bytes, sizes: list[int], quality: int, effort: int, way: str) -> dict[int, bytes]:
    pictures = {}
    picture = None
    for size in sorted(sizes, reverse=True):
        if way == "each" or picture is None:
            picture = pyvips.Image.thumbnail_buffer(body, size, height=size, size="down")
        else:
            picture = picture.thumbnail_image(size, height=size, size="down")
        picture = picture.copy_memory()
        pictures[size] = picture.webpsave_buffer(Q=quality, effort=effort, keep="none")
    assert picture is not None
    small = picture.thumbnail_image(MAX_SIDE, height=MAX_SIDE, size="down")
    thumbhash(small.bandjoin(255).numpy())
    return pictures


def handle(picture: str, sizes: list[int], quality: int, effort: int, way: str, folder: str) -> float:
    body = Path(picture).read_bytes()
    took, made = milliseconds(lambda: thumbnails(body, sizes, quality, effort, way))
    for size, webp in made.items():
        (Path(folder) / f"{size}.webp").write_bytes(webp)
    return took


if __name__ == "__main__":
    pyvips.cache_set_max(0)
    answer(handle)
