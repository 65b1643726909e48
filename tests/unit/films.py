"""Lives of videos: what is told of one, of the frames taken from it, of its segments and of jobs on it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from media_assets.eventlog.catalogue import FramesExtracted, MediaProbed, VideoInfo, VideoSegmented
from media_assets.eventlog.events import NewEvent, StepRef, frame_received, hour_of, item_id_of, step_succeeded
from media_assets.eventlog.job_events import JobRef, job_completed, job_progressed, job_started
from media_assets.eventlog.video_payloads import AudioTrack, Frame, Segment
from tests.unit.eventlog.lives import EXECUTION, NOON, Life

INFO = VideoInfo(
    duration_ms=10_000,
    frame_rate=25,
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
    """A video of ten seconds, 640 × 272."""

    key: str = "uploads/ada/bikes.mp4"

    def measured(self, info: VideoInfo = INFO) -> NewEvent:
        payload = MediaProbed(
            version_id="v1",
            kind="video",
            format="mp4",
            content_type="video/mp4",
            width=640,
            height=272,
            orientation=1,
            video=info,
        )
        return step_succeeded(self._ref("v1", "probe", 0, "r1"), payload, execution=EXECUTION, occurred_at=NOON)

    def frame(self, timecode_ms: int) -> Life:
        """The life of a frame."""
        return Life(f"derived/{self.item_id}/frames/r1/v1/0/{timecode_ms:08d}.jpg")

    def framed(self, timecodes_ms: Sequence[int] = (1500, 4000)) -> list[NewEvent]:
        """Frames were taken, the first one its poster, and became items."""
        frames = tuple(
            Frame(
                item_id=item_id_of("photos", self.frame(timecode_ms).key),
                timecode_ms=timecode_ms,
                key=self.frame(timecode_ms).key,
                sha256="0" * 64,
                size_bytes=1000,
                width=640,
                height=272,
                is_poster=number == 0,
            )
            for number, timecode_ms in enumerate(timecodes_ms)
        )
        payload = FramesExtracted(version_id="v1", shots=len(frames), frames=frames)
        extracted = step_succeeded(self._ref("v1", "frames", 0, "r1"), payload, execution=EXECUTION, occurred_at=NOON)
        received = [
            frame_received(extracted, each, bucket="photos", version_id="v1", etag="e", hour=hour_of(NOON)) for each in frames
        ]
        return [extracted, *received]

    def segmented(self, job: JobRef | None = None, *, text: str | None = None) -> NewEvent:
        """Cut into halves, by itself or by a job."""
        folder = f"processed/{job.job_id}" if job else f"derived/{self.item_id}/segment/r1/v1/0"
        segments = tuple(
            Segment(
                index=index,
                start_ms=index * 5000,
                end_ms=index * 5000 + 5000,
                key=f"{folder}/segment_{index:03d}.mp4",
                sha256="0" * 64,
                size_bytes=2000,
                text=text,
            )
            for index in range(2)
        )
        payload = VideoSegmented(version_id="v1", mode="encoded" if text else "copied", duration_ms=10_000, segments=segments)
        ref = StepRef(
            item_id=self.item_id,
            job_id=job.job_id if job else None,
            user_id="ada",
            version_id="v1",
            step="segment",
            recipe="r1",
            generation=0,
        )
        return step_succeeded(ref, payload, execution=EXECUTION, occurred_at=NOON)

    def ready(self) -> list[NewEvent]:
        """Uploaded and measured: a job can be submitted."""
        return [self.upload(), self.measured()]

    def frame_done(
        self, timecode_ms: int, *, summary: str = "A street.", vector: Sequence[float] = (1.0, 0.0, 0.0)
    ) -> list[NewEvent]:
        """All steps of a frame."""
        frame = self.frame(timecode_ms)
        return [frame.thumbnails(), frame.analysis(summary=summary), frame.embedding(vector=vector), frame.detections()]

    def job(self, job_id: uuid.UUID) -> JobRef:
        return JobRef(job_id=job_id, item_id=self.item_id, user_id="ada")

    def started(self, job: JobRef, percent: int) -> list[NewEvent]:
        """An attempt at the job is so far."""
        return [
            job_started(job, attempt=1, attempt_id="a1", occurred_at=NOON),
            job_progressed(job, step="segment", percent=percent, attempt_id="a1", occurred_at=NOON + timedelta(seconds=1)),
        ]

    def completed(self, job: JobRef, *, text: str | None = None) -> list[NewEvent]:
        result = self.segmented(job, text=text)
        return [result, job_completed(job, segments=2, occurred_at=NOON, causation_id=result.event_id)]
