"""How a video will be cut and what is written on its segments, decided before any work is done.

Nothing is read or stored here: the command line, the API and the step `segment` get the same plan from the same facts.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from lambdas.runtime.overlay_text import MAX_CONTEXT_CHARACTERS, MAX_VARIATIONS, UnusableText, checked
from media_assets.cuts import Cut, FixedCut, RandomCut, ScenesCut

_SLIVER_MS = 1000
_STORED = {"stored": True}
"""Validation context of options that were accepted before."""

Bounds = tuple[tuple[int, int], ...]
"""Where each segment starts and ends, in milliseconds."""


class PlanError(ValueError):
    """The options don't fit the video, or each other. The text says what to change."""


class TextInput(BaseModel):
    """What is written on segments: `base_text` on each (one_for_all), a variation of it on each, which a chat model makes with
    `context` in mind (base_vary), or the segments' own `unique_texts`, in their order (unique_for_all)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    strategy: Literal["one_for_all", "base_vary", "unique_for_all"]
    base_text: str | None = None
    context: str | None = Field(default=None, max_length=MAX_CONTEXT_CHARACTERS)
    unique_texts: tuple[str, ...] | None = None

    @field_validator("base_text")
    @classmethod
    def _is_text(cls, value: str | None, info: ValidationInfo) -> str | None:
        return value if value is None or info.context == _STORED else checked(value)

    @field_validator("context")
    @classmethod
    def _is_readable(cls, value: str | None, info: ValidationInfo) -> str | None:
        """Control characters tell a model nothing, and take six bytes each of what one attempt may cost (vary.most_tokens)."""
        if value is None or info.context == _STORED:
            return value
        if any(unicodedata.category(each) == "Cc" and each not in "\t\r\n" for each in value):
            raise ValueError("the context has control characters")
        return value

    @field_validator("unique_texts")
    @classmethod
    def _are_texts(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if value is None or info.context == _STORED:
            return value
        return tuple(_checked(each, number) for number, each in enumerate(value, 1))

    @model_validator(mode="after")
    def _goes_together(self) -> TextInput:
        own = self.strategy == "unique_for_all"
        needed, other = ("unique_texts", "base_text") if own else ("base_text", "unique_texts")
        if not getattr(self, needed):
            raise ValueError(f"strategy {self.strategy} needs {needed}")
        if getattr(self, other) is not None:
            raise ValueError(f"strategy {self.strategy} takes {needed}, not {other}")
        if self.context is not None and self.strategy != "base_vary":
            raise ValueError(f"strategy {self.strategy} takes no context; it is for base_vary")
        return self


class JobOptions(BaseModel):
    """What a job is asked to do. `exact` cuts where it says, to the frame, which encodes anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    cutting_options: Cut
    exact: bool = False
    text_input: TextInput | None = None

    @classmethod
    def stored(cls, options: Mapping[str, Any]) -> JobOptions:
        """Those of a job in the log. Its texts were checked when it was submitted: a font or a limit that is another one
        today must not keep the work of its hour from being planned. A text that can't be drawn any more fails its own job."""
        return cls.model_validate(options, context=_STORED)


@dataclass(frozen=True)
class SegmentPlan:
    """`bounds` are None for scenes, which are found while cutting: then there will be `least` to `most` segments.

    `texts` has one a segment, or one for all scenes together. None: none are written, or they are `varied`, and a model is
    still to make them.
    """

    duration_ms: int
    bounds: Bounds | None
    least: int
    most: int
    texts: tuple[str, ...] | None
    varied: bool

    def text_of(self, index: int) -> str | None:
        """What the plan says of a segment's text."""
        return None if self.texts is None else self.texts[index if len(self.texts) > 1 else 0]


def plan(duration_ms: int, frame_rate: float, options: JobOptions, video_id: uuid.UUID, *, most_segments: int) -> SegmentPlan:
    """What will come of `options` for a video. Equal arguments give equal plans, on every machine and version.

    Raises PlanError for more than `most_segments`, for unique texts that aren't as many as segments, and for unique or varied
    texts of scenes, whose number nobody knows before.
    """
    cut, text_input = options.cutting_options, options.text_input
    bounds = cuts(duration_ms, frame_rate, cut, video_id)
    if bounds is not None:
        least = most = len(bounds)
    else:
        least, most = _scene_counts(duration_ms, frame_rate, cut)
    if most > most_segments:
        raise PlanError(_too_many(duration_ms, cut, most, most_segments))
    texts: tuple[str, ...] | None = None
    if text_input is not None:
        if bounds is None and text_input.strategy != "one_for_all":
            raise PlanError(
                f"{text_input.strategy} needs to know how many segments there will be, and scenes are found only while"
                " cutting: cut into fixed or random lengths, or write one text on all"
            )
        if text_input.unique_texts is not None:
            if len(text_input.unique_texts) != most:
                raise PlanError(f"there are {len(text_input.unique_texts)} texts for {most} segments: give one for each")
            texts = text_input.unique_texts
        elif text_input.strategy == "one_for_all":
            texts = (text_input.base_text or "",) * (1 if bounds is None else most)
        elif most > MAX_VARIATIONS:
            raise PlanError(
                f"a model writes {MAX_VARIATIONS} variations of a text at most, and there are {most} segments: make them longer"
            )
    varied = text_input is not None and text_input.strategy == "base_vary"
    return SegmentPlan(duration_ms, bounds, least, most, texts, varied)


def cuts(duration_ms: int, frame_rate: float, cut: Cut, video_id: uuid.UUID) -> Bounds | None:
    """Where segments start and end: without gap or overlap, from 0 to the video's end; None for scenes.

    No segment is shorter than a frame. A last one that is shorter than half of the least length asked for, or than a second
    if that is less, is joined to the one before. Random lengths lie between theirs, evenly spread; each leaves at
    least the least length for the rest where that is possible. They depend on the cut with its seed and on `video_id` alone.
    """
    if duration_ms <= 0:
        raise PlanError(f"a video of {duration_ms} ms has nothing to cut")
    if isinstance(cut, ScenesCut):
        return None
    least, most = _lengths(frame_rate, cut)
    sliver = max(_frame_ms(frame_rate), min(least // 2, _SLIVER_MS))
    draws = _draws(f"{video_id}:{cut.seed}" if isinstance(cut, RandomCut) else "")
    ends: list[int] = []
    start = 0
    while (rest := duration_ms - start) > most:
        longest = min(most, rest - least) if rest >= 2 * least else most
        start += least + next(draws) * (longest - least + 1) // 2**64
        ends.append(start)
    if ends and rest < sliver:
        ends.pop()
    return tuple(zip([0, *ends], [*ends, duration_ms], strict=True))


def _scene_counts(duration_ms: int, frame_rate: float, cut: Cut) -> tuple[int, int]:
    least, most = _lengths(frame_rate, cut)
    return -(-duration_ms // most), max(1, duration_ms // least, -(-duration_ms // most))


def _lengths(frame_rate: float, cut: Cut) -> tuple[int, int]:
    """The least and the most milliseconds of a segment."""
    shortest, longest = (
        (cut.duration_seconds, cut.duration_seconds) if isinstance(cut, FixedCut) else (cut.min_duration, cut.max_duration)
    )
    least = max(round(shortest * 1000), _frame_ms(frame_rate))
    return least, max(round(longest * 1000), least)


def _frame_ms(frame_rate: float) -> int:
    return math.ceil(1000 / frame_rate)


def _draws(seed: str) -> Iterator[int]:
    """Numbers below 2⁶⁴, the same for the same seed: random.Random promises that of no other version of Python."""
    number = 0
    while True:
        yield int.from_bytes(hashlib.sha256(f"{seed}:{number}".encode()).digest()[:8])
        number += 1


def _too_many(duration_ms: int, cut: Cut, most: int, most_segments: int) -> str:
    seconds = duration_ms / 1000 / most_segments
    longer = math.ceil(seconds * 10) / 10
    which = "duration" if isinstance(cut, FixedCut) else "min_duration"
    many = f"up to {most}" if isinstance(cut, ScenesCut) else str(most)
    return f"that makes {many} segments, and {most_segments} are allowed: a {which} of {longer:g} s or more is within that"


def _checked(text: str, number: int) -> str:
    try:
        return checked(text)
    except UnusableText as error:
        raise ValueError(f"text {number}: {error}") from None
