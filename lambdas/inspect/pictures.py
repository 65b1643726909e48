"""Small pictures of how segments begin, for contact sheets."""

from __future__ import annotations

import io
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from tempfile import TemporaryFile
from typing import IO, Any

from PIL import Image

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.inspection import InspectionRequest, SegmentPicture
from lambdas.runtime.step import StepError
from lambdas.runtime.storage import Storage
from lambdas.runtime.video.isolation import answers, crashed

_SECONDS = 12.0
"""For all of a request: a run waits for them."""
_HEAD_BYTES = 16_000_000
"""Of a segment: its index comes first, and then its first picture."""
_AT_A_TIME = 2
"""Videos."""
_QUALITY = 80
_UPRIGHT = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
"""By how far it is to be turned clockwise; Pillow counts the other way."""


def show(request: InspectionRequest, storage: Storage, deadline: float) -> list[SegmentPicture]:
    """As many as there is time for. Raises StepError STORAGE_UNAVAILABLE.

    Segments of one folder are of one video, and share a process, which takes a quarter of a second to start.
    """
    until = min(deadline, time.monotonic() + _SECONDS)
    folders: dict[str, list[str]] = defaultdict(list)
    for key in request.pictures:
        folders[key.rpartition("/")[0]].append(key)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = pool.map(lambda keys: list(_of_a_video(request, keys, storage, until)), folders.values())
        return [picture for pictures in found for picture in pictures]


def _of_a_video(request: InspectionRequest, keys: list[str], storage: Storage, until: float) -> Iterator[SegmentPicture]:
    with TemporaryFile() as file:
        lengths = [file.write(_head(request, key, storage, until)) for key in keys]
        file.flush()
        order = json.dumps({"lengths": lengths, "max_pixels": request.max_pixels, "side_px": request.picture_px})
        waiting = iter(keys)
        try:
            for told, pipe in answers("lambdas.inspect.beginning", order, file.fileno(), until):
                picture = None if "problem" in told else _received(told, pipe, request.picture_px)
                if (key := next(waiting, None)) is not None:
                    yield SegmentPicture(key=key, jpeg=_encoded(picture) if picture else None)
        except StepError as error:
            # The segment whose turn it was did it, unless the time is up. Of those behind it nothing is known.
            if error.code is not ErrorCode.TIMEOUT and (key := next(waiting, None)) is not None:
                yield SegmentPicture(key=key, jpeg=None)


def _head(request: InspectionRequest, key: str, storage: Storage, until: float) -> bytes:
    """Empty for one that isn't there, or when there is no time left."""
    if time.monotonic() >= until:
        return b""
    try:
        return storage.read_start(request.bucket, key, min(_HEAD_BYTES, request.max_bytes))
    except StepError as error:
        if error.code is ErrorCode.STORAGE_UNAVAILABLE:
            raise
        return b""


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _received(told: Mapping[str, Any], pipe: IO[bytes], side_px: int) -> Image.Image:
    """The picture whose pixels come next."""
    match told:
        case {"width": int(width), "height": int(height), "rotation": int(rotation)}:
            if 0 < width <= side_px and 0 < height <= side_px:
                pixels = pipe.read(width * height * 3)
                if len(pixels) == width * height * 3:
                    picture = Image.frombytes("RGB", (width, height), pixels)
                    return picture.transpose(_UPRIGHT[rotation]) if rotation in _UPRIGHT else picture
    raise crashed("what it showed is no picture of the size that was asked for")
