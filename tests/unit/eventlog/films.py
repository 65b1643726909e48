"""What can happen to a video and to a job about it: `film = Film(); store.append(film.done())`, `Job(film).submitted()`."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from media_assets.eventlog.catalogue import (
    AudioTrack,
    Frame,
    FramesExtracted,
    JobSubmitted,
    MediaProbed,
    Segment,
    StepAbandoned,
    StepFailed,
    TextVaried,
    UploadRejected,
    VideoInfo,
    VideoSegmented,
)
from media_assets.eventlog.events import (
    NewEvent,
    StepRef,
    deterministic_id,
    frame_received,
    item_erased,
    item_id_of,
    step_abandoned,
    step_failed,
    step_succeeded,
)
from media_assets.eventlog.job_events import (
    JobRef,
    job_cancelled,
    job_completed,
    job_failed,
    job_progressed,
    job_started,
    job_submitted,
)
from tests.unit.eventlog.lives import EXECUTION, HOUR, NOON, Life

TIMES = (480, 4000)
VIDEO = VideoInfo(
    duration_ms=10_000,
    frame_rate=25.0,
    variable_frame_rate=False,
    codec="h264",
    bit_depth=8,
    hdr=False,
    rotation=0,
    sample_aspect_ratio=(1, 1),
    video_tracks=1,
    audio=(AudioTrack(codec="aac", channels=2, sample_rate_hz=48_000, language="eng"),),
)


@dataclass(frozen=True)
class Film(Life):
    """A video of ten seconds. Its frames are lives of their own, of version `f1`; the first one is the poster."""

    key: str = "uploads/ada/bikes.mp4"

    def probed(self, version: str = "v1", *, width: int = 640, generation: int = 0, recipe: str = "r1") -> NewEvent:
        payload = measured(version, width=width)
        return step_succeeded(self._ref(version, "probe", generation, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def ready(self) -> list[NewEvent]:
        """Uploaded and measured: a job can be submitted."""
        return [self.upload(), self.probed()]

    def frame(self, time_ms: int, version: str = "v1", *, generation: int = 0, recipe: str = "r1") -> Life:
        key = f"{self._folder('frames', version, generation, recipe)}{time_ms:08d}.jpg"
        return Life(key, bucket=self.bucket)

    def extracted(
        self, version: str = "v1", *, times: Sequence[int] = TIMES, generation: int = 0, recipe: str = "r1"
    ) -> NewEvent:
        folder = self._folder("frames", version, generation, recipe)
        payload = frames(self.bucket, folder, version, dict.fromkeys(times), poster=times[0])
        ref = self._ref(version, "frames", generation, recipe)
        trace = {"correlation_id": self.upload(version).event_id}
        return step_succeeded(ref, payload, execution=EXECUTION, occurred_at=NOON).model_copy(update=trace)

    def frames_received(
        self, version: str = "v1", *, times: Sequence[int] = TIMES, object_version: str = "f1", **key: Any
    ) -> list[NewEvent]:
        extracted = self.extracted(version, times=times, **key)
        assert isinstance(extracted.payload, FramesExtracted)
        return [
            frame_received(extracted, frame, bucket=self.bucket, version_id=object_version, etag="e", hour=HOUR)
            for frame in extracted.payload.frames
        ]

    def watched(self, version: str = "v1", *, times: Sequence[int] = TIMES, **key: Any) -> list[NewEvent]:
        """What the step `frames` tells at once."""
        return [self.extracted(version, times=times, **key), *self.frames_received(version, times=times, **key)]

    def segmented(self, version: str = "v1", *, number: int = 2, generation: int = 0, recipe: str = "r1") -> NewEvent:
        payload = segments(self._folder("segment", version, generation, recipe), version, parts(number))
        return step_succeeded(self._ref(version, "segment", generation, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def processed(self, version: str = "v1", **key: Any) -> list[NewEvent]:
        """The success of each of its own steps; its frames are received."""
        return [self.probed(version, **key), *self.watched(version, **key), self.segmented(version, **key)]

    def _folder(self, step: str, version: str, generation: int, recipe: str) -> str:
        return f"derived/{self.item_id}/{step}/{recipe}/{version}/{generation}/"


@dataclass(frozen=True)
class Job:
    """A request to cut a version of a film; one that has an id already is named by it. `has_texts_written`: a model writes
    what is laid over the segments first."""

    film: Film = Film()
    name: str | uuid.UUID = "j1"
    version: str = "v1"
    has_texts_written: bool = False

    @property
    def job_id(self) -> uuid.UUID:
        return self.name if isinstance(self.name, uuid.UUID) else deterministic_id("job", self.film.item_id, self.name)

    @property
    def ref(self) -> JobRef:
        return JobRef(self.job_id, self.film.item_id, "ada")

    @property
    def stream_id(self) -> str:
        return f"job-{self.job_id}"

    def submitted(self) -> NewEvent:
        text = {"strategy": "base_vary", "base_text": "Ride"} if self.has_texts_written else None
        options = {"cutting_options": {"type": "fixed", "duration_seconds": 5.0}, "exact": False, "text_input": text}
        payload = JobSubmitted(version_id=self.version, hour=HOUR, options=options)
        return job_submitted(self.ref, payload, occurred_at=NOON, causation_id=self.film.upload(self.version).event_id)

    def started(self, attempt: str = "a1") -> NewEvent:
        return job_started(self.ref, attempt=1, attempt_id=attempt, occurred_at=NOON)

    def progressed(self, percent: int = 40, attempt: str = "a1") -> NewEvent:
        return job_progressed(self.ref, step="segment", percent=percent, attempt_id=attempt, occurred_at=NOON)

    def varied(self, texts: Sequence[str] = ("Ride on", "Ride far"), *, recipe: str = "r1") -> NewEvent:
        payload = TextVaried(version_id=self.version, model="words", texts=tuple(texts))
        return step_succeeded(self._ref("vary", recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def segmented(
        self, *, number: int = 2, texts: Sequence[str] = (), bodies: Sequence[bytes] = (), recipe: str = "r1"
    ) -> NewEvent:
        payload = segments(f"processed/{self.job_id}/", self.version, parts(number), texts=texts, bodies=bodies)
        return step_succeeded(self._ref("segment", recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def attempt_failed(
        self, step: str = "segment", *, attempt: str = "a1", retry_at: datetime | None = None, recipe: str = "r1"
    ) -> NewEvent:
        payload = StepFailed(version_id=self.version, code="timeout", message=f"timeout in {attempt}", retry_at=retry_at)
        execution = EXECUTION.model_copy(update={"attempt_id": attempt})
        return step_failed(self._ref(step, recipe), payload, execution=execution, occurred_at=NOON)

    def abandoned(self, step: str = "segment", *, recipe: str = "r1") -> NewEvent:
        payload = StepAbandoned(version_id=self.version, code="timeout", message="given up", failures=5)
        return step_abandoned(self._ref(step, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def rejected(self, step: str = "segment", *, recipe: str = "r1") -> NewEvent:
        payload = UploadRejected(version_id=self.version, code="unsafe", message="it is unsafe")
        return step_succeeded(self._ref(step, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def completed(self, number: int = 2) -> NewEvent:
        return job_completed(self.ref, segments=number, occurred_at=NOON, causation_id=self.segmented().event_id)

    def failed(self) -> NewEvent:
        return job_failed(self.ref, code="timeout", message="given up", occurred_at=NOON)

    def cancelled(self) -> NewEvent:
        return job_cancelled(self.ref, reason="ada changed her mind", occurred_at=NOON)

    def erased(self) -> NewEvent:
        """As its film's erasure does it."""
        return item_erased(self.film.item_id, job_id=self.job_id, reason="ada asked", user_id="ada", occurred_at=NOON)

    def done(self) -> list[NewEvent]:
        texts = [self.varied()] if self.has_texts_written else []
        return [self.submitted(), self.started(), *texts, self.progressed(), self.segmented(), self.completed()]

    def _ref(self, step: str, recipe: str) -> StepRef:
        return StepRef(
            item_id=self.film.item_id,
            job_id=self.job_id,
            user_id="ada",
            version_id=self.version,
            step=step,
            recipe=recipe,
            generation=0,
        )


def frame_done(
    frame: Life,
    version: str = "f1",
    *,
    summary: str = "A street.",
    vector: Sequence[float] = (1.0, 0.0, 0.0),
    generation: int = 0,
    recipe: str = "r1",
) -> list[NewEvent]:
    """The success of each of a frame's steps: there is nothing to probe."""
    return [
        frame.thumbnails(version, generation=generation, recipe=recipe),
        frame.analysis(version, summary=summary, generation=generation, recipe=recipe),
        frame.embedding(version, vector=vector, generation=generation, recipe=recipe),
        frame.detections(version, generation=generation, recipe=recipe),
    ]


def measured(version: str, *, width: int = 640, height: int = 360, video: VideoInfo = VIDEO) -> MediaProbed:
    """What the probe says of an MP4."""
    return MediaProbed(
        version_id=version,
        kind="video",
        format="mp4",
        content_type="video/mp4",
        width=width,
        height=height,
        orientation=1,
        video=video,
    )


def frames(
    bucket: str,
    folder: str,
    version: str,
    pictures: Mapping[int, bytes | None],
    *,
    poster: int,
    width: int = 320,
    height: int = 180,
) -> FramesExtracted:
    """Pictures by their times; one whose bytes don't matter is None. `poster` is a time."""
    keys = {time_ms: f"{folder}{time_ms:08d}.jpg" for time_ms in pictures}
    return FramesExtracted(
        version_id=version,
        shots=len(pictures),
        frames=tuple(
            Frame(
                item_id=item_id_of(bucket, keys[time_ms]),
                timecode_ms=time_ms,
                key=keys[time_ms],
                width=width,
                height=height,
                is_poster=time_ms == poster,
                **_content(body),
            )
            for time_ms, body in pictures.items()
        ),
    )


def segments(
    folder: str, version: str, ends_ms: Sequence[int], *, texts: Sequence[str] = (), bodies: Sequence[bytes] = ()
) -> VideoSegmented:
    """A film that is cut there; with `texts`, one is laid over each segment. `bodies` are their bytes, if they matter."""
    return VideoSegmented(
        version_id=version,
        mode="encoded" if texts else "copied",
        duration_ms=ends_ms[-1],
        segments=tuple(
            Segment(
                index=index,
                start_ms=start_ms,
                end_ms=end_ms,
                key=f"{folder}segment_{index:03d}.mp4",
                text=texts[index] if texts else None,
                **_content(bodies[index] if bodies else None),
            )
            for index, (start_ms, end_ms) in enumerate(zip((0, *ends_ms[:-1]), ends_ms, strict=True))
        ),
    )


def parts(number: int) -> list[int]:
    """Where equal parts of the film end, in milliseconds."""
    length = VIDEO.duration_ms // number
    return [length * part for part in range(1, number + 1)]


def _content(body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {"sha256": "0" * 64, "size_bytes": 1000}
    return {"sha256": hashlib.sha256(body).hexdigest(), "size_bytes": len(body)}
