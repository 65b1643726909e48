"""Looks at results of videos for whoever checks or shows them: segments are played to their end, frames are
compared with their video, and what segments begin with is handed out as pictures.

No step: it is invoked directly with an InspectionRequest as JSON, answers with an InspectionAnswer, and writes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from lambdas.inspect.comparison import Compared, compare
from lambdas.inspect.pictures import show
from lambdas.runtime.batch import Limits
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.inspection import InspectionAnswer, InspectionRequest, SegmentFacts
from lambdas.runtime.scratch import scratch_folder
from lambdas.runtime.step import BadRequest, StepError
from lambdas.runtime.storage import Storage, s3_client
from lambdas.runtime.video.isolation import answers

_RESERVED_SECONDS = 5.0
_SEGMENT_SECONDS = 120.0
"""For playing one; a minute of full HD takes some 20."""


def handler(event: Mapping[str, Any], context: Limits) -> dict[str, Any]:
    """As much as there is time for, and what was left out. What can't be read of a file is an answer, too.

    Raises BadRequest, and StepError when the storage doesn't answer, which Lambda reports as a FunctionError.
    """
    try:
        request = InspectionRequest.model_validate(event)
    except ValidationError as error:
        raise BadRequest.from_validation("request", error) from None
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - _RESERVED_SECONDS
    storage = Storage(s3_client())
    segments, left_out = _play(request, storage, deadline)
    compared = compare(request, request.source, storage, deadline) if request.source else Compared()
    answer = InspectionAnswer(
        segments=tuple(segments),
        source_audio_offset_ms=compared.audio_offset_ms,
        frames=tuple(compared.frames),
        pictures=tuple(show(request, storage, deadline)),
        left_out=(*left_out, *compared.left_out),
    )
    return answer.model_dump(mode="json")


def _play(request: InspectionRequest, storage: Storage, deadline: float) -> tuple[list[SegmentFacts], tuple[str, ...]]:
    """What is in the segments, and those that the time didn't suffice for."""
    found: list[SegmentFacts] = []
    for number, key in enumerate(request.segments):
        if time.monotonic() >= deadline:
            return found, request.segments[number:]
        until = min(deadline, time.monotonic() + _SEGMENT_SECONDS)
        try:
            facts = _facts(request, key, storage, until)
        except StepError as error:
            # One that was begun late may just need more time than was left.
            if error.code is ErrorCode.TIMEOUT and until == deadline and found:
                return found, request.segments[number:]
            if error.code is ErrorCode.STORAGE_UNAVAILABLE:
                raise
            facts = {"problem": error.message}
        found.append(SegmentFacts(key=key, **facts))
    return found, ()


def _facts(request: InspectionRequest, key: str, storage: Storage, deadline: float) -> dict[str, Any]:
    with scratch_folder() as folder:
        path = folder / "segment"
        storage.download_key(request.bucket, key, path, request.max_bytes)
        with path.open("rb") as file:
            order = json.dumps({"max_pixels": request.max_pixels})
            ((facts, _),) = answers("lambdas.inspect.segment", order, file.fileno(), deadline)
    return facts
