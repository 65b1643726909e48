"""Frames beside the pictures of the video that they were taken from, as it shows them at their times."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lambdas.inspect.likeness import difference, of_jpeg, upright
from lambdas.inspect.views import SIDE
from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.inspection import FrameMatch, FrameToFind, InspectionRequest, Source
from lambdas.runtime.scratch import scratch_folder
from lambdas.runtime.step import StepError
from lambdas.runtime.storage import Storage
from lambdas.runtime.video.formats import sniff_video
from lambdas.runtime.video.isolation import answers

_SNIFFED_BYTES = 512


@dataclass
class Compared:
    """`left_out` as in InspectionAnswer."""

    audio_offset_ms: float | None = None
    frames: list[FrameMatch] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def compare(request: InspectionRequest, source: Source, storage: Storage, deadline: float) -> Compared:
    """As many of the request's frames as there is time for, by time. Raises StepError STORAGE_UNAVAILABLE."""
    frames = sorted(request.frames, key=lambda frame: frame.timecode_ms)
    found, told_of_sound, problem = Compared(), False, None
    try:
        for view in _views(request, source, [frame.timecode_ms for frame in frames], storage, deadline):
            if "audio_offset_ms" in view:
                found.audio_offset_ms, told_of_sound = view["audio_offset_ms"], True
            else:
                found.frames.append(_match(request.bucket, frames[len(found.frames)], view, source.rotation, storage))
    except StepError as error:
        if error.code is ErrorCode.STORAGE_UNAVAILABLE:
            raise
        if error.code is ErrorCode.TIMEOUT:
            rest = [frame.key for frame in frames[len(found.frames) :]]
            found.left_out = rest if told_of_sound else [source.key, *rest]
            return found
        problem = f"its video can't be looked at: {error.message}"
    missing = frames[len(found.frames) :]
    found.frames += [FrameMatch(key=frame.key, problem=problem or "its video has no picture that decodes") for frame in missing]
    return found


def _views(
    request: InspectionRequest, source: Source, times_ms: list[int], storage: Storage, deadline: float
) -> Iterator[dict[str, Any]]:
    with scratch_folder() as folder:
        path = folder / "source"
        item = BatchItem(
            item_id="",
            bucket=request.bucket,
            key=source.key,
            version_id=source.version_id,
            size_bytes=source.size_bytes,
            generation=0,
            output_prefix="",
        )
        storage.download(item, path, request.max_bytes)
        with path.open("rb") as file:
            format = sniff_video(file.read(_SNIFFED_BYTES))
            if format is None:
                raise StepError(ErrorCode.UNSUPPORTED_FORMAT, "the file is no video of an accepted format")
            order = {"demuxer": format.demuxer, "max_pixels": request.max_pixels, "times_ms": times_ms}
            for view, _ in answers("lambdas.inspect.views", json.dumps(order), file.fileno(), deadline):
                yield view


def _match(bucket: str, frame: FrameToFind, view: dict[str, Any], rotation: int, storage: Storage) -> FrameMatch:
    try:
        picture = of_jpeg(storage.read_key(bucket, frame.key), SIDE)
    except OSError as error:
        return FrameMatch(key=frame.key, problem=f"it doesn't decode ({type(error).__name__})")
    except StepError as error:
        if error.code is ErrorCode.STORAGE_UNAVAILABLE:
            raise
        return FrameMatch(key=frame.key, problem=error.message)
    differences = {
        name: None if view[name] is None else round(difference(picture, upright(b64decode(view[name]), SIDE, rotation)), 2)
        for name in ("at", "before", "after")
    }
    return FrameMatch(key=frame.key, problem=None, **differences)
