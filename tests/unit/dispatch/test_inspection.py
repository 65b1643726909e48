"""Asking the function that looks into videos: in parts, again for what was left out, and what its failures are called."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from lambdas.runtime.inspection import (
    FrameMatch,
    FrameToFind,
    InspectionAnswer,
    InspectionRequest,
    SegmentFacts,
    SegmentPicture,
    Source,
)
from media_assets.dispatch.errors import TargetUnavailableError
from media_assets.dispatch.inspection import Inspector
from media_assets.settings import Settings

SOURCE = Source(key="uploads/ada/film.mp4", version_id="v1", size_bytes=10)


@dataclass
class Lambda:
    """Lambda's client: answers as it is told to."""

    answer: Callable[[InspectionRequest], Any]
    asked: list[InspectionRequest] = field(default_factory=list)

    def invoke(self, *, FunctionName: str, Payload: str) -> Mapping[str, Any]:
        assert FunctionName == "media-assets-dev-inspect"
        self.asked.append(InspectionRequest.model_validate_json(Payload))
        answer = self.answer(self.asked[-1])
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, InspectionAnswer):
            answer = answer.model_dump(mode="json")
        failed = {"FunctionError": "Unhandled"} if isinstance(answer, dict) and "errorType" in answer else {}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}


def inspector(client: Lambda) -> Inspector:
    return Inspector(Settings(stage="dev", bucket_name="media", max_video_bytes=7, max_video_pixels=9), client)  # type: ignore[arg-type]


def first(number: int) -> Callable[[InspectionRequest], InspectionAnswer]:
    """The answer to so many of the segments that are asked for."""

    def answer(request: InspectionRequest) -> InspectionAnswer:
        done, left = request.segments[:number], request.segments[number:]
        return InspectionAnswer(segments=tuple(SegmentFacts(key=key, problem=None) for key in done), left_out=left)

    return answer


def test_segments_are_asked_for_fifty_at_a_time_with_the_settings_limits() -> None:
    client = Lambda(first(1000))
    keys = [f"{number}.mp4" for number in range(120)]
    assert list(inspector(client).segments(keys)) == keys
    assert [len(request.segments) for request in client.asked] == [50, 50, 20]
    assert {(request.bucket, request.max_bytes, request.max_pixels) for request in client.asked} == {("media", 7, 9)}


def test_nothing_is_asked_for_nothing() -> None:
    client = Lambda(first(1))
    assert inspector(client).segments([]) == {}
    assert client.asked == []


def test_what_was_left_out_is_asked_for_again_while_answers_bring_anything() -> None:
    client = Lambda(first(2))
    assert list(inspector(client).segments(["a", "b", "c", "d", "e"])) == ["a", "b", "c", "d", "e"]
    assert [request.segments for request in client.asked] == [("a", "b", "c", "d", "e"), ("c", "d", "e"), ("e",)]
    stuck = Lambda(first(0))
    assert inspector(stuck).segments(["a", "b"]) == {}
    assert len(stuck.asked) == 1


def test_frames_are_asked_for_with_their_video() -> None:
    def answer(request: InspectionRequest) -> InspectionAnswer:
        assert request.source == SOURCE
        return InspectionAnswer(frames=tuple(FrameMatch(key=frame.key, problem=None, at=1) for frame in request.frames[:1]))

    client = Lambda(answer)
    frames = [FrameToFind(key=key, timecode_ms=at) for key, at in (("a", 5), ("b", 9))]
    assert list(inspector(client).frames(SOURCE, frames)) == ["a", "b"]
    assert [request.frames for request in client.asked] == [tuple(frames), (frames[1],)]


def test_the_beginning_of_a_videos_sound() -> None:
    client = Lambda(lambda request: InspectionAnswer(source_audio_offset_ms=250))
    assert inspector(client).audio_offset_ms(SOURCE) == 250
    assert [(request.source, request.segments, request.frames) for request in client.asked] == [(SOURCE, (), ())]


def test_pictures_are_asked_for_once_whatever_is_missing() -> None:
    def answer(request: InspectionRequest) -> InspectionAnswer:
        told = (("a", b"\xff\xd8"), ("b", None), ("stranger", b"\xff\xd8"))
        return InspectionAnswer(pictures=tuple(SegmentPicture(key=key, jpeg=jpeg) for key, jpeg in told))

    client = Lambda(answer)
    assert inspector(client).pictures(["a", "b", "c"], 176) == {"a": b"\xff\xd8", "b": None}
    assert [(request.pictures, request.picture_px, request.segments) for request in client.asked] == [
        (("a", "b", "c"), 176, ())
    ]


def test_what_isnt_asked_for_isnt_believed() -> None:
    stranger = Lambda(lambda request: InspectionAnswer(segments=(SegmentFacts(key="other", problem=None),)))
    assert inspector(stranger).segments(["a"]) == {}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ClientError({"Error": {"Code": "TooManyRequestsException"}}, "Invoke"), "TooManyRequestsException"),
        (ConnectTimeoutError(endpoint_url="http://127.0.0.1"), "ConnectTimeoutError"),
        ({"errorType": "StepError", "errorMessage": "S3 answered SlowDown"}, "failed as a whole: StepError"),
        ({"segments": "none"}, "answered with what is no inspection"),
        ({"pictures": [{"key": "a", "jpeg": "no base64!"}]}, "answered with what is no inspection"),
        ({"pictures": [{"key": "a", "jpeg": "A" * 250_000}]}, "answered with what is no inspection"),
        (["none"], "answered with what is no inspection"),
    ],
)
def test_a_function_that_gives_no_answer_is_unavailable(answer: Any, message: str) -> None:
    with pytest.raises(TargetUnavailableError, match=f"media-assets-dev-inspect.*{message}"):
        inspector(Lambda(lambda request: answer)).segments(["a"])
