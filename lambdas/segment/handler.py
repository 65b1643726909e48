"""The `segment` step: a video cut into files that browsers play, as planned, with or without texts over it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lambdas.runtime.contract import BatchItem, ErrorCode, OutputObject
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.overlay_text import UnusableText
from lambdas.runtime.scratch import scratch_folder
from lambdas.runtime.step import BadRequest, StepContext, StepError, StepResult
from lambdas.runtime.stored_result import compute_once
from lambdas.runtime.video.formats import sniff_video
from lambdas.runtime.video.mode import Mode
from lambdas.segment.cutting import Encoding, NotPlayable, Segment, cut
from lambdas.segment.ffmpeg_process import Deadline, Sandbox, Source
from lambdas.segment.layers import write_layers
from lambdas.segment.shots import EARLY_MS, Cuts, cuts_at_shots, find_shots
from lambdas.segment.source import SourceFacts

_HEAD_BYTES = 512
_RESERVE_SECONDS = 10.0
"""For storing the segments, and for the answer."""
_STORED_AT_ONCE = 4
"""Segments on their way to S3 side by side; their digests keep the cores busy meanwhile."""
_BYTES_PER_SECOND = 100_000_000 // 8
_DOWNLOADED, _SHOTS_FOUND, _CUT = 0.05, 0.3, 0.95
"""How much of the work is done by then, as far as anybody can say."""


class _Cut(BaseModel):
    """Read here for shots only: the other cuts come planned."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: str
    min_duration: float = Field(default=0, ge=0)
    max_duration: float = Field(default=0, ge=0)


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cut: _Cut
    exact: bool
    text: dict[str, Any] | None
    """How the item's texts came about. They themselves are in its input."""
    crf: int = Field(ge=0, le=51)
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]
    max_video_bytes: int = Field(gt=0)
    max_video_pixels: int = Field(gt=0)
    max_video_seconds: float = Field(gt=0)
    max_video_frames: int = Field(gt=0)


def process(item: BatchItem, context: StepContext) -> StepResult:
    """result = {"mode", "duration_ms", "segments": [{"index", "start_ms", "end_ms", "key", "sha256", "size_bytes", "text"}]}:
    segments without gap or overlap from 0 to duration_ms, and of each what was really cut.

    Raises BadRequest for a request that no plan makes; StepError: UNSUPPORTED_FORMAT, CORRUPT, TRUNCATED, TOO_MANY_BYTES,
    TOO_MANY_PIXELS for files that can't be cut, TIMEOUT, NOT_STARTED when the worker is stopped, STEP_ERROR; what the storage
    raises.
    """
    parameters = context.parameters_as(_Parameters)
    try:
        facts = SourceFacts.model_validate(item.input)
    except ValidationError as error:
        raise BadRequest.from_validation("input", error) from None
    return compute_once(item, context, lambda: _segment(item, context, parameters, facts))


def _segment(item: BatchItem, context: StepContext, parameters: _Parameters, facts: SourceFacts) -> StepResult:
    deadline = Deadline(context.remaining_milliseconds, _RESERVE_SECONDS)
    with scratch_folder() as folder:
        path, work = folder / "source", folder / "work"
        context.storage.download(item, path, parameters.max_video_bytes)
        context.progress(_DOWNLOADED)
        with path.open("rb") as file:
            format = sniff_video(file.read(_HEAD_BYTES))
        if format is None:
            raise StepError(ErrorCode.UNSUPPORTED_FORMAT, "the file is no video of a format that is accepted")
        work.mkdir()
        output_bytes = 50_000_000 + max(2 * item.size_bytes, facts.video.duration_ms * _BYTES_PER_SECOND // 1000)
        with Source.open(path, format) as source:
            work_at = _Work(source, Sandbox(work, deadline, output_bytes), facts, parameters, context)
            mode, cuts, segments = work_at.done()
        outputs = _store(item, context, segments)
    texts = [_text(segment, cuts, facts.texts) for segment in segments]
    rows = [_row(*each) for each in zip(range(len(segments)), segments, outputs, texts, strict=True)]
    result = {"mode": mode.value, "duration_ms": segments[-1].end_ms, "segments": rows}
    return StepResult(result, outputs)


class _Work:
    """What ffmpeg does for one item, and how much of it is done."""

    def __init__(
        self, source: Source, sandbox: Sandbox, facts: SourceFacts, parameters: _Parameters, context: StepContext
    ) -> None:
        self._source, self._sandbox, self._facts = source, sandbox, facts
        self._parameters, self._context = parameters, context
        self._done = _DOWNLOADED

    def done(self) -> tuple[Mode, Cuts, tuple[Segment, ...]]:
        cuts = self._cuts()
        mode = self._facts.cheapest_mode(self._source.format, exact=self._parameters.exact)
        if mode is not Mode.ENCODED:
            try:
                return mode, cuts, self._cut(cuts, mode)
            except NotPlayable:
                pass  # what H.264 it is is known of the copy only
            except StepError as error:
                if error.code not in (ErrorCode.CORRUPT, ErrorCode.STEP_ERROR):
                    raise
                # Packets that can't be copied may be decoded all the same.
        return Mode.ENCODED, cuts, self._cut(cuts, Mode.ENCODED)

    def _cuts(self) -> Cuts:
        if self._facts.cuts_ms is not None:
            return self._facts.cuts_ms
        wanted = self._parameters.cut
        if wanted.type != "scenes" or not 0 < wanted.min_duration <= wanted.max_duration:
            raise BadRequest(f"a cut of type {wanted.type!r} without planned cuts, or without its bounds")
        shots = find_shots(self._source, self._sandbox, self._until(_SHOTS_FOUND))
        self._done = _SHOTS_FOUND
        bounds = round(wanted.min_duration * 1000), round(wanted.max_duration * 1000)
        return cuts_at_shots(shots, self._facts.video.duration_ms, *bounds)

    def _cut(self, cuts: Cuts, mode: Mode) -> tuple[Segment, ...]:
        encoding = self._encoding(cuts)
        return cut(self._source, self._sandbox, self._facts, cuts, mode, encoding, self._until(_CUT))

    def _encoding(self, cuts: Cuts) -> Encoding:
        width, height = self._facts.encoded_size(self._parameters.max_video_pixels)
        texts = self._facts.texts
        if texts is not None and len(texts) not in (1, len(cuts)):
            raise BadRequest(f"{len(texts)} texts for {len(cuts)} segments")
        try:
            layers = None if texts is None else write_layers(self._sandbox.folder, texts, cuts, width, height)
        except UnusableText as error:
            raise StepError(ErrorCode.STEP_ERROR, str(error), False) from None
        return Encoding(self._parameters.crf, self._parameters.preset, width, height, layers)

    def _until(self, fraction: float) -> Any:
        begun, seconds = self._done, self._facts.video.duration_ms / 1000
        return lambda done: self._context.progress(begun + (fraction - begun) * min(1.0, done / seconds))


def _store(item: BatchItem, context: StepContext, segments: tuple[Segment, ...]) -> tuple[OutputObject, ...]:
    """An object that an earlier attempt stored counts. Cuts depend on nothing but source and plan: its bounds are the same."""

    def store(numbered: tuple[int, Segment]) -> OutputObject:
        index, segment = numbered
        key = f"{item.output_prefix}segment_{index:03d}.mp4"
        attributes = {"start_ms": segment.start_ms, "end_ms": segment.end_ms}
        return context.storage.write_file(item.bucket, key, segment.path, "video/mp4", attributes)

    outputs = []
    with ThreadPoolExecutor(_STORED_AT_ONCE) as pool:
        for output in pool.map(store, enumerate(segments)):
            outputs.append(output)
            context.progress(_CUT + (1 - _CUT) * len(outputs) / len(segments))
    return tuple(outputs)


def _row(index: int, segment: Segment, output: OutputObject, text: str | None) -> dict[str, Any]:
    return {
        "index": index,
        "start_ms": segment.start_ms,
        "end_ms": segment.end_ms,
        "key": output.key,
        "sha256": output.sha256,
        "size_bytes": output.size_bytes,
        "text": text,
    }


def _text(segment: Segment, cuts: Cuts, texts: tuple[str, ...] | None) -> str | None:
    """The text over the segment: that of the last planned cut at or before its first picture."""
    if texts is None or len(texts) == 1:
        return texts[0] if texts else None
    return next(
        text for (start, _), text in reversed(list(zip(cuts, texts, strict=True))) if start <= segment.start_ms + EARLY_MS
    )


handler = lambda_handler("segment", process)
