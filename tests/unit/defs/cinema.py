"""Videos at any stage, with their frames in the bucket, told to the log as dispatch would tell it."""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from PIL import Image

from media_assets.eventlog.catalogue import (
    Frame,
    FramesExtracted,
    JobSubmitted,
    MediaProbed,
    Segment,
    VideoInfo,
    VideoSegmented,
)
from media_assets.eventlog.events import StepRef, frame_received, item_id_of, step_succeeded
from media_assets.eventlog.job_events import JobRef, job_submitted
from tests.unit.defs.gallery import HOUR, Gallery

WIDTH, HEIGHT, DURATION_MS = 640, 272, 10_000
INFO = VideoInfo(
    duration_ms=DURATION_MS,
    frame_rate=25.0,
    variable_frame_rate=False,
    codec="h264",
    bit_depth=8,
    hdr=False,
    rotation=0,
    sample_aspect_ratio=(1, 1),
    video_tracks=1,
    audio=(),
)


@dataclass
class Cinema(Gallery):
    """Makes videos of ten seconds. Everything is of generation 0."""

    def video(self, name: str = "bikes.mp4", hour: datetime = HOUR) -> uuid.UUID:
        """Uploaded and measured."""
        item_id = self.upload(name, hour)
        measured = MediaProbed(
            version_id=self._versions[item_id],
            kind="video",
            format="mp4",
            content_type="video/mp4",
            width=WIDTH,
            height=HEIGHT,
            orientation=1,
            video=INFO,
        )
        self.tell(item_id, "probe", measured)
        return item_id

    def framed(self, video: uuid.UUID, *times_ms: int, hour: datetime = HOUR) -> list[uuid.UUID]:
        """Frames at these times, ascending, the last one its poster. Returns their items."""
        folder = f"derived/{video}/frames/cafe/{self._versions[video]}/0/"
        bodies = {f"{folder}{time_ms:08d}.jpg": jpeg(WIDTH, HEIGHT, time_ms * 255 // DURATION_MS) for time_ms in times_ms}
        stored = {key: self.s3.put_object(Bucket=self.bucket, Key=key, Body=body) for key, body in bodies.items()}
        frames = tuple(
            Frame(
                item_id=item_id_of(self.bucket, key),
                timecode_ms=time_ms,
                key=key,
                sha256=hashlib.sha256(bodies[key]).hexdigest(),
                size_bytes=len(bodies[key]),
                width=WIDTH,
                height=HEIGHT,
                is_poster=time_ms == times_ms[-1],
            )
            for key, time_ms in zip(bodies, times_ms, strict=True)
        )
        payload = FramesExtracted(version_id=self._versions[video], shots=len(frames), frames=frames)
        now = datetime.now(UTC)
        extracted = step_succeeded(self._ref(video, "frames"), payload, execution=self._execution(), occurred_at=now)
        received = [
            frame_received(
                extracted,
                frame,
                bucket=self.bucket,
                version_id=stored[frame.key]["VersionId"],
                etag=stored[frame.key]["ETag"].strip('"'),
                hour=hour,
            )
            for frame in frames
        ]
        self.store.append([extracted, *received])
        return [frame.item_id for frame in frames]

    def segmented(
        self, video: uuid.UUID, *ends_ms: int, job: uuid.UUID | None = None, texts: Sequence[str] | None = None
    ) -> None:
        """Cut there, by itself or by a job."""
        folder = f"processed/{job}/" if job else f"derived/{video}/segment/cafe/{self._versions[video]}/0/"
        segments = tuple(
            Segment(
                index=index,
                start_ms=start_ms,
                end_ms=end_ms,
                key=f"{folder}segment_{index:03d}.mp4",
                sha256="0" * 64,
                size_bytes=1000,
                text=texts[index] if texts else None,
            )
            for index, (start_ms, end_ms) in enumerate(zip((0, *ends_ms[:-1]), ends_ms, strict=True))
        )
        payload = VideoSegmented(
            version_id=self._versions[video],
            mode="encoded" if texts else "copied",
            duration_ms=ends_ms[-1],
            segments=segments,
        )
        ref: StepRef = self._ref(video, "segment").model_copy(update={"job_id": job})
        self.store.append([step_succeeded(ref, payload, execution=self._execution(), occurred_at=datetime.now(UTC))])

    def job(self, video: uuid.UUID, *, seconds: float = 5, text: str | None = None, hour: datetime = HOUR) -> uuid.UUID:
        """Somebody asks for segments of so many seconds."""
        job = JobRef(uuid.uuid4(), video, "ada")
        options: dict[str, Any] = {
            "cutting_options": {"type": "fixed", "duration_seconds": seconds},
            "exact": False,
            "text_input": {"strategy": "one_for_all", "base_text": text} if text else None,
        }
        payload = JobSubmitted(version_id=self._versions[video], hour=hour, options=options)
        self.store.append([job_submitted(job, payload, occurred_at=datetime.now(UTC))])
        return job.job_id


@cache
def jpeg(width: int, height: int, grey: int) -> bytes:
    """A picture that is this grey."""
    buffer = io.BytesIO()
    Image.new("L", (width, height), grey).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()
