"""Videos at any stage, with their frames in the bucket, told to the log as dispatch would tell it."""

from __future__ import annotations

import io
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from PIL import Image

from media_assets.eventlog.catalogue import Frame, JobSubmitted, Payload, Segment, VideoInfo
from media_assets.eventlog.events import StepRef, frame_received, step_succeeded
from media_assets.eventlog.job_events import JobRef, job_submitted
from tests.unit.defs.gallery import HOUR, Gallery
from tests.unit.eventlog.films import VIDEO, frames, measured, segments

WIDTH, HEIGHT = 640, 272


@dataclass
class Cinema(Gallery):
    """Makes videos of ten seconds. Everything is of generation 0."""

    width: int = WIDTH
    height: int = HEIGHT

    def video(
        self, name: str = "bikes.mp4", hour: datetime = HOUR, *, body: bytes | None = None, info: VideoInfo = VIDEO
    ) -> uuid.UUID:
        """Uploaded and measured."""
        item_id = self.upload(name, hour, body)
        payload = measured(self._versions[item_id], width=self.width, height=self.height, video=info)
        self.tell(item_id, "probe", payload)
        return item_id

    def framed(self, video: uuid.UUID, *times_ms: int, hour: datetime = HOUR) -> list[uuid.UUID]:
        """Frames at these times, ascending, the last one its poster. Returns their items."""
        pictures = {time_ms: jpeg(self.width, self.height, time_ms * 255 // VIDEO.duration_ms) for time_ms in times_ms}
        return [frame.item_id for frame in self.extracted(video, pictures, poster=times_ms[-1], hour=hour)]

    def extracted(
        self, video: uuid.UUID, pictures: Mapping[int, bytes], *, poster: int, hour: datetime = HOUR
    ) -> Sequence[Frame]:
        """Frames at these times, in milliseconds."""
        version, now = self._versions[video], datetime.now(UTC)
        folder = f"derived/{video}/frames/cafe/{version}/0/"
        payload = frames(self.bucket, folder, version, pictures, poster=poster, width=self.width, height=self.height)
        extracted = step_succeeded(self._ref(video, "frames"), payload, execution=self._execution(), occurred_at=now)
        received = []
        for frame in payload.frames:
            stored = self.s3.put_object(Bucket=self.bucket, Key=frame.key, Body=pictures[frame.timecode_ms])
            of_object = {"version_id": stored["VersionId"], "etag": stored["ETag"].strip('"')}
            received.append(frame_received(extracted, frame, bucket=self.bucket, hour=hour, **of_object))
        self.store.append([extracted, *received])
        return payload.frames

    def segmented(
        self,
        video: uuid.UUID,
        *ends_ms: int,
        job: uuid.UUID | None = None,
        texts: Sequence[str] = (),
        bodies: Sequence[bytes] = (),
    ) -> Sequence[Segment]:
        """Cut there, by itself or by a job; the bucket has nothing of it."""
        version = self._versions[video]
        folder = f"processed/{job}/" if job else f"derived/{video}/segment/cafe/{version}/0/"
        payload = segments(folder, version, ends_ms, texts=texts, bodies=bodies)
        self.tell_of(job, video, "segment", payload)
        return payload.segments

    def job(
        self,
        video: uuid.UUID,
        *,
        seconds: float = 5,
        text: str | None = None,
        strategy: str = "one_for_all",
        hour: datetime = HOUR,
    ) -> uuid.UUID:
        """Somebody asks for segments of so many seconds."""
        job = JobRef(uuid.uuid4(), video, "ada")
        options: dict[str, Any] = {
            "cutting_options": {"type": "fixed", "duration_seconds": seconds},
            "exact": False,
            "text_input": {"strategy": strategy, "base_text": text} if text else None,
        }
        payload = JobSubmitted(version_id=self._versions[video], hour=hour, options=options)
        self.store.append([job_submitted(job, payload, occurred_at=datetime.now(UTC))])
        return job.job_id

    def tell_of(self, job: uuid.UUID | None, video: uuid.UUID, step: str, payload: Payload) -> None:
        """Append a conclusive outcome of a job's step, or of the video's own."""
        ref, now = self.ref_of(job, video, step), datetime.now(UTC)
        self.store.append([step_succeeded(ref, payload, execution=self._execution(), occurred_at=now)])

    def ref_of(self, job: uuid.UUID | None, video: uuid.UUID, step: str) -> StepRef:
        return self._ref(video, step).model_copy(update={"job_id": job})


@cache
def jpeg(width: int, height: int, grey: int) -> bytes:
    """A picture that is this grey."""
    buffer = io.BytesIO()
    Image.new("L", (width, height), grey).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()
