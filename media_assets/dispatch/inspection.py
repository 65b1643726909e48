"""What the function `inspect` says of segments and frames, for checks and contact sheets, which never parse a user's bytes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from lambdas.runtime.inspection import (
    MOST_PICTURE_PX,
    FrameMatch,
    FrameToFind,
    InspectionAnswer,
    InspectionRequest,
    SegmentFacts,
    Source,
)
from media_assets.dispatch.errors import TargetUnavailableError
from media_assets.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

FUNCTION = "inspect"
_AT_ONCE = 50
"""Segments, or frames, of one request."""
_CONFIG = Config(
    read_timeout=310,  # longer than the function may run
    connect_timeout=5,
    retries={"mode": "standard", "total_max_attempts": 2},
    tcp_keepalive=True,
)
HURRIED = _CONFIG.merge(Config(read_timeout=20, retries={"mode": "standard", "total_max_attempts": 1}))
"""For who would rather have no answer than wait. The function takes 12 s for pictures at most."""

_Found = TypeVar("_Found", bound=SegmentFacts | FrameMatch)


class Inspector:
    """Methods raise TargetUnavailableError when the function can't be reached, fails as a whole, or makes no sense."""

    def __init__(self, settings: Settings, client: LambdaClient | None = None, *, config: Config = _CONFIG) -> None:
        self._settings = settings
        self._client = client or boto3.client("lambda", config=config)
        self._function_name = settings.function_name(FUNCTION)

    def segments(self, keys: Sequence[str]) -> dict[str, SegmentFacts]:
        """By key. One that is missing takes longer to look at than the function has."""
        return _all_of(keys, lambda some: self._ask(segments=tuple(some)).segments)

    def frames(self, source: Source, frames: Sequence[FrameToFind]) -> dict[str, FrameMatch]:
        """Of one video's frames, by key. One that is missing takes longer to find in the video than the function has."""
        by_key = {frame.key: frame for frame in frames}
        return _all_of(list(by_key), lambda some: self._ask(source, frames=tuple(by_key[key] for key in some)).frames)

    def audio_offset_ms(self, source: Source) -> float | None:
        """How much later than its picture the sound of a video begins; None without sound, or if it can't be read."""
        return self._ask(source).source_audio_offset_ms

    def pictures(self, segments: Sequence[str], side_px: int) -> dict[str, bytes | None]:
        """What segments begin with, by key, as JPEGs; None where nothing decodes. One that is missing takes too long.

        Asks once: for MOST_PICTURES at most, none with a longer side than MOST_PICTURE_PX.
        """
        answer = self._ask(pictures=tuple(segments), picture_px=side_px)
        return {each.key: each.jpeg for each in answer.pictures if each.key in segments}

    def _ask(
        self,
        source: Source | None = None,
        *,
        segments: tuple[str, ...] = (),
        frames: tuple[FrameToFind, ...] = (),
        pictures: tuple[str, ...] = (),
        picture_px: int = MOST_PICTURE_PX,
    ) -> InspectionAnswer:
        request = InspectionRequest(
            bucket=self._settings.bucket,
            max_bytes=self._settings.max_video_bytes,
            max_pixels=self._settings.max_video_pixels,
            segments=segments,
            source=source,
            frames=frames,
            pictures=pictures,
            picture_px=picture_px,
        )
        try:
            response = self._client.invoke(FunctionName=self._function_name, Payload=request.model_dump_json())
            body = response["Payload"].read()
        except ClientError as error:
            raise TargetUnavailableError(f"{self._function_name}: {error.response['Error']['Code']}") from error
        except BotoCoreError as error:
            raise TargetUnavailableError(f"{self._function_name}: {type(error).__name__}") from error
        if "FunctionError" in response:
            raise TargetUnavailableError(f"{self._function_name} failed as a whole: {_kind(body)}", ran=True)
        try:
            return InspectionAnswer.model_validate_json(body)
        except ValidationError as error:
            raise TargetUnavailableError(f"{self._function_name} answered with what is no inspection", ran=True) from error


def _all_of(keys: Sequence[str], ask: Callable[[Sequence[str]], Sequence[_Found]]) -> dict[str, _Found]:
    """Ask for some at a time, and again for what was left out, as long as answers bring anything."""
    found: dict[str, _Found] = {}
    waiting = list(keys)
    while waiting:
        asked = waiting[:_AT_ONCE]
        del waiting[:_AT_ONCE]
        answers: dict[str, _Found] = {each.key: each for each in ask(asked) if each.key in asked}
        found.update(answers)
        if answers:
            waiting = [*(key for key in asked if key not in answers), *waiting]
    return found


def _kind(body: bytes) -> str:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    return str(answer.get("errorType", "unknown error")) if isinstance(answer, dict) else "unknown error"
