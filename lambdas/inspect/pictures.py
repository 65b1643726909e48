"""Small pictures of how segments begin, for contact sheets."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
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
"""For all of a request: a run waits for them. One takes a third of a second, most of it to start the process."""
_PICTURE_SECONDS = 5.0
_AT_A_TIME = 2
_HEAD_BYTES = 16_000_000
"""Of a segment: its index comes first, and then its first picture."""
_QUALITY = 80
_UPRIGHT = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
"""By how far it is to be turned clockwise; Pillow counts the other way."""


def show(request: InspectionRequest, storage: Storage, deadline: float) -> list[SegmentPicture]:
    """As many as there is time for, in the request's order. Raises StepError STORAGE_UNAVAILABLE."""
    until = min(deadline, time.monotonic() + _SECONDS)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = list(pool.map(lambda key: _picture(request, key, storage, until), request.pictures))
    return [picture for picture in found if picture]


def _picture(request: InspectionRequest, key: str, storage: Storage, until: float) -> SegmentPicture | None:
    """None if it takes too long."""
    if time.monotonic() >= until:
        return None
    try:
        return SegmentPicture(key=key, jpeg=_jpeg(request, key, storage, min(until, time.monotonic() + _PICTURE_SECONDS)))
    except StepError as error:
        if error.code is ErrorCode.STORAGE_UNAVAILABLE:
            raise
        return None if error.code is ErrorCode.TIMEOUT else SegmentPicture(key=key, jpeg=None)


def _jpeg(request: InspectionRequest, key: str, storage: Storage, deadline: float) -> bytes:
    head = storage.read_start(request.bucket, key, min(_HEAD_BYTES, request.max_bytes))
    order = json.dumps({"max_pixels": request.max_pixels, "side_px": request.picture_px})
    picture: Image.Image | None = None
    with TemporaryFile() as file:
        file.write(head)
        file.flush()
        for told, pipe in answers("lambdas.inspect.beginning", order, file.fileno(), deadline):
            picture = _received(told, pipe, request.picture_px)
    if picture is None:
        raise crashed("it showed nothing")
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
