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
from media_assets.eventlog.catalogue import StepAbandoned, StepFailed, TextVaried
from media_assets.eventlog.events import step_abandoned, step_failed
from media_assets.eventlog.job_events import JobRef, job_completed
from tests.unit.conftest import LambdaContext
from tests.unit.defs.cinema import Cinema
from tests.unit.eventlog.films import VIDEO

SHORT = VIDEO.model_copy(update={"duration_ms": 4000, "frame_rate": 10.0})
"""Of two videos of tests/unit/videos.py, one after the other."""


@dataclass
class Screening(Cinema):
    """Makes videos of two segments of two seconds each."""

    width: int = 160
    height: int = 120

    def film(self, body: bytes, name: str = "film.mp4", *, sound: bool = True, **facts: Any) -> uuid.UUID:
        """Uploaded and measured."""
        silent = {} if sound else {"audio": ()}
        return self.video(name, body=body, info=SHORT.model_copy(update={**silent, **facts}))

    def cut(self, film: uuid.UUID, *bodies: bytes, job: uuid.UUID | None = None, text: str | None = None) -> list[str]:
        """Into files of two seconds each. Returns their keys."""
        texts = [f"{text} {index}" for index in range(len(bodies))] if text else []
        ends_ms = range(2000, 2000 * len(bodies) + 1, 2000)
        keys = [segment.key for segment in self.segmented(film, *ends_ms, job=job, texts=texts, bodies=bodies)]
        for key, body in zip(keys, bodies, strict=True):
            checksum = b64encode(hashlib.sha256(body).digest()).decode()  # as steps store
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ChecksumSHA256=checksum)
        if job:
            done = job_completed(JobRef(job, film, "ada"), segments=len(bodies), occurred_at=datetime.now(UTC))
            self.store.append([done])
        return keys

    def varied(self, film: uuid.UUID, *texts: str) -> uuid.UUID:
        """A job that wants a text varied for each two seconds, and what a model made of it."""
        job = self.job(film, seconds=2, text="Ride!", strategy="base_vary")
        self.tell_of(job, film, "vary", TextVaried(version_id=self._versions[film], model="test", texts=texts))
        return job

    def given_up(self, film: uuid.UUID, job: uuid.UUID, step: str) -> None:
        """A job's step failed for the last time."""
        version, now = self._versions[film], datetime.now(UTC)
        ref, execution = self.ref_of(job, film, step), self._execution()
        failure = StepFailed(version_id=version, code="crashed", message="It crashed.", retry_at=None)
        end = StepAbandoned(version_id=version, code="crashed", message="It crashed.", failures=1)
        failed = step_failed(ref, failure, execution=execution, occurred_at=now)
        self.store.append([failed, step_abandoned(ref, end, execution=execution, occurred_at=now)])

    def shown(self, film: uuid.UUID, pictures: Mapping[int, bytes]) -> list[str]:
        """Frames at these times, in milliseconds, the first one its poster. Returns their keys."""
        return [frame.key for frame in self.extracted(film, pictures, poster=min(pictures))]


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
