"""Videos that are real: with their bytes in the bucket, their segments and frames, and the function that looks into them."""

from __future__ import annotations

import hashlib
import io
import json
import uuid
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from lambdas.inspect.handler import handler
from lambdas.runtime.inspection import InspectionRequest
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
    UploadReceived,
    VideoSegmented,
)
from media_assets.eventlog.events import (
    frame_received,
    item_id_of,
    step_abandoned,
    step_failed,
    step_succeeded,
    upload_received,
)
from media_assets.eventlog.job_events import JobRef, job_completed, job_submitted
from tests.unit.conftest import LambdaContext
from tests.unit.defs.cinema import INFO, Cinema
from tests.unit.defs.gallery import HOUR

TONE = AudioTrack(codec="aac", channels=1, sample_rate_hz=48_000, language=None)
SHORT = INFO.model_copy(update={"duration_ms": 4000, "frame_rate": 10.0})
"""Of two videos of tests/unit/videos.py, one after the other."""


@dataclass
class Screening(Cinema):
    """Makes videos of two segments of two seconds each."""

    def film(self, body: bytes, name: str = "film.mp4", *, sound: bool = True, **facts: Any) -> uuid.UUID:
        """Uploaded and measured."""
        key = f"uploads/ada/{name}"
        version = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["VersionId"]
        received = UploadReceived(
            bucket=self.bucket, key=key, version_id=version, etag="e", size_bytes=len(body), sequencer="01", hour=HOUR
        )
        self.store.append([upload_received(received, user_id="ada", occurred_at=HOUR)])
        item_id = item_id_of(self.bucket, key)
        self._versions[item_id] = version
        measured = MediaProbed(
            version_id=version,
            kind="video",
            format="mp4",
            content_type="video/mp4",
            width=160,
            height=120,
            orientation=1,
            video=SHORT.model_copy(update={"audio": (TONE,) if sound else (), **facts}),
        )
        self.tell(item_id, "probe", measured)
        return item_id

    def cut(self, film: uuid.UUID, *bodies: bytes, job: uuid.UUID | None = None, text: str | None = None) -> list[str]:
        """Into files of two seconds each. Returns their keys."""
        folder = f"processed/{job}/" if job else f"derived/{film}/segment/cafe/{self._versions[film]}/0/"
        segments = tuple(
            Segment(
                index=index,
                start_ms=index * 2000,
                end_ms=index * 2000 + 2000,
                key=self.store_object(f"{folder}segment_{index:03d}.mp4", body),
                sha256=hashlib.sha256(body).hexdigest(),
                size_bytes=len(body),
                text=f"{text} {index}" if text else None,
            )
            for index, body in enumerate(bodies)
        )
        payload = VideoSegmented(
            version_id=self._versions[film], mode="encoded", duration_ms=2000 * len(bodies), segments=segments
        )
        ref = self._ref(film, "segment").model_copy(update={"job_id": job})
        result = step_succeeded(ref, payload, execution=self._execution(), occurred_at=datetime.now(UTC))
        ended = [job_completed(JobRef(job, film, "ada"), segments=len(bodies), occurred_at=datetime.now(UTC))] if job else []
        self.store.append([result, *ended])
        return [segment.key for segment in segments]

    def varied(self, film: uuid.UUID, *texts: str) -> uuid.UUID:
        """A job that wants a text varied for each two seconds, and what a model made of it."""
        job = JobRef(uuid.uuid4(), film, "ada")
        options = {
            "cutting_options": {"type": "fixed", "duration_seconds": 2.0},
            "exact": False,
            "text_input": {"strategy": "base_vary", "base_text": "Ride!", "context": None, "unique_texts": None},
        }
        submitted = JobSubmitted(version_id=self._versions[film], hour=HOUR, options=options)
        ref = self._ref(film, "vary").model_copy(update={"job_id": job.job_id})
        told = TextVaried(version_id=self._versions[film], model="test", texts=texts)
        now = datetime.now(UTC)
        self.store.append([job_submitted(job, submitted, occurred_at=now)])
        self.store.append([step_succeeded(ref, told, execution=self._execution(), occurred_at=now)])
        return job.job_id

    def given_up(self, film: uuid.UUID, job: uuid.UUID, step: str) -> None:
        """A job's step failed for the last time."""
        version, now = self._versions[film], datetime.now(UTC)
        ref = self._ref(film, step).model_copy(update={"job_id": job})
        failure = StepFailed(version_id=version, code="crashed", message="It crashed.", retry_at=None)
        end = StepAbandoned(version_id=version, code="crashed", message="It crashed.", failures=1)
        execution = self._execution()
        failed = step_failed(ref, failure, execution=execution, occurred_at=now)
        self.store.append([failed, step_abandoned(ref, end, execution=execution, occurred_at=now)])

    def shown(self, film: uuid.UUID, pictures: Mapping[int, bytes]) -> list[str]:
        """Frames at these times, in milliseconds, the first one its poster. Returns their keys."""
        folder = f"derived/{film}/frames/cafe/{self._versions[film]}/0/"
        versions = {}
        frames = []
        for number, (time_ms, body) in enumerate(pictures.items()):
            key = f"{folder}{time_ms:08d}.jpg"
            versions[key] = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["VersionId"]
            frames.append(
                Frame(
                    item_id=item_id_of(self.bucket, key),
                    timecode_ms=time_ms,
                    key=key,
                    sha256=hashlib.sha256(body).hexdigest(),
                    size_bytes=len(body),
                    width=160,
                    height=120,
                    is_poster=number == 0,
                )
            )
        payload = FramesExtracted(version_id=self._versions[film], shots=len(frames), frames=tuple(frames))
        extracted = step_succeeded(
            self._ref(film, "frames"), payload, execution=self._execution(), occurred_at=datetime.now(UTC)
        )
        received = [
            frame_received(extracted, each, bucket=self.bucket, version_id=versions[each.key], etag="e", hour=HOUR)
            for each in frames
        ]
        self.store.append([extracted, *received])
        return [frame.key for frame in frames]

    def store_object(self, key: str, body: bytes) -> str:
        """With the checksum that steps store with. Returns the key."""
        checksum = b64encode(hashlib.sha256(body).digest()).decode()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ChecksumSHA256=checksum)
        return key


@dataclass
class Inspecting:
    """Lambda's client, in whose account there is the function `inspect` alone, in this process. `asked` are its requests."""

    asked: list[InspectionRequest] = field(default_factory=list)
    away: bool = False

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, Any]:
        if self.away or not FunctionName.endswith("-inspect"):
            raise ClientError({"Error": {"Code": "ResourceNotFoundException", "Message": FunctionName}}, "Invoke")
        self.asked.append(InspectionRequest.model_validate_json(Payload))
        try:
            answer, failed = handler(json.loads(Payload), LambdaContext()), {}
        except Exception as error:  # noqa: BLE001 - as Lambda reports it
            answer, failed = {"errorType": type(error).__name__}, {"FunctionError": "Unhandled"}
        return {"Payload": io.BytesIO(json.dumps(answer).encode()), **failed}
