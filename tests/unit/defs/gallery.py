"""Items at any stage of the pipeline, told to the log as dispatch would tell it, with the objects that belong to them."""

from __future__ import annotations

import hashlib
import io
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image
from sqlalchemy import text

from lambdas.runtime.contract import ErrorCode
from media_assets.eventlog.catalogue import (
    AnalysisCompleted,
    Detection,
    DetectionsCompleted,
    EmbeddingStored,
    MediaProbed,
    Payload,
    StepAbandoned,
    StepFailed,
    Thumbnail,
    ThumbnailCreated,
    UploadReceived,
    UploadRejected,
)
from media_assets.eventlog.events import (
    Execution,
    StepRef,
    hour_of,
    item_id_of,
    step_abandoned,
    step_failed,
    step_succeeded,
    upload_received,
    upload_removed,
)
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from media_assets.steps.catalogue import STEPS
from tests.conftest import ARRIVAL

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

HOUR = hour_of(ARRIVAL)
EARLIER, EARLIEST = HOUR - timedelta(hours=1), HOUR - timedelta(hours=2)
WIDTH, HEIGHT = 1200, 800

CAT = Detection(label="cat", confidence=0.875, bbox=(100, 50, 1000, 700))
ANALYSIS: dict[str, Any] = {
    "category": "animal",
    "summary": "A tabby cat.",
    "tags": ["cat", "tabby"],
    "objects": [
        {
            "caption": "tabby cat",
            "description": "A cat that looks up.",
            "category": "cat",
            "estimated_value": None,
            "confidence": 0.9,
            "bounding_box": {"x": 100, "y": 50, "width": 1100, "height": 750},
        }
    ],
    "text": [],
    "dominant_colours": [{"hex": "#806040", "name": "brown", "share": 0.5}],
}


@dataclass
class Gallery:
    """Makes items. `run_id` is the Dagster run that its outcomes are told to be of."""

    store: EventStore
    s3: S3Client
    bucket: str
    run_id: str | None = None
    _versions: dict[uuid.UUID, str] = field(default_factory=dict)

    def upload(self, name: str = "cat.jpg", hour: datetime = HOUR, body: bytes | None = None) -> uuid.UUID:
        """An object in the bucket, and the log knows it. Its bytes are its name unless they matter."""
        key, body = f"uploads/ada/{name}", name.encode() if body is None else body
        version = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)["VersionId"]
        payload = UploadReceived(
            bucket=self.bucket,
            key=key,
            version_id=version,
            etag=hashlib.md5(body).hexdigest(),
            size_bytes=len(body),
            sequencer="0055AED6DCD90281E5",
            hour=hour,
        )
        self.store.append([upload_received(payload, user_id="ada", occurred_at=hour)])
        item_id = item_id_of(self.bucket, key)
        self._versions[item_id] = version
        return item_id

    def probed(self, item_id: uuid.UUID, width: int = WIDTH, height: int = HEIGHT) -> None:
        self.tell(
            item_id,
            "probe",
            MediaProbed(
                version_id=self._versions[item_id],
                kind="image",
                format="jpeg",
                content_type="image/jpeg",
                width=width,
                height=height,
                orientation=1,
            ),
        )

    def rejected(self, item_id: uuid.UUID, code: str = "corrupt", message: str = "The file can't be decoded.") -> None:
        self.tell(item_id, "probe", UploadRejected(version_id=self._versions[item_id], code=code, message=message))

    def thumbnailed(self, item_id: uuid.UUID, **changes: Thumbnail | None) -> None:
        """Thumbnails of every size; `changes` replaces those of some sizes (`of_256=…`), None leaves one out."""
        every = {f"of_{size}": self.thumbnail(item_id, size) for size in get_settings().thumbnail_sizes_px}
        thumbnails = tuple(each for each in (every | changes).values() if each is not None)
        self.tell(
            item_id,
            "thumbnail",
            ThumbnailCreated(
                version_id=self._versions[item_id], placeholder="3OcRJYB4d3h/iIeHeEh3eIhw+j3A", thumbnails=thumbnails
            ),
        )

    def thumbnail(self, item_id: uuid.UUID, size: int, picture: bytes | None = None, **changes: Any) -> Thumbnail:
        """Stores a WebP of the original's shape, or `picture`, and describes it; `changes` describe it wrongly."""
        scale = min(1, size / max(WIDTH, HEIGHT))
        width, height = round(WIDTH * scale), round(HEIGHT * scale)
        body = webp(width, height) if picture is None else picture
        key = f"derived/{item_id}/thumbnail/cafe/{uuid.uuid4()}/0/{size}.webp"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="image/webp")
        described = {
            "size": size,
            "width": width,
            "height": height,
            "key": key,
            "sha256": hashlib.sha256(body).hexdigest(),
            "size_bytes": len(body),
            "content_type": "image/webp",
        }
        return Thumbnail.model_validate(described | changes)

    def analysed(self, item_id: uuid.UUID, **changes: Any) -> None:
        payload = AnalysisCompleted(
            version_id=self._versions[item_id], provider="local", model="local/test", analysis={**ANALYSIS, **changes}
        )
        self.tell(item_id, "analyze", payload)

    def embedded(self, item_id: uuid.UUID, direction: int = 0) -> None:
        """A unit vector along one of its dimensions."""
        with self.store.engine.connect() as connection:
            analysis_id = connection.execute(
                text("SELECT analysis_id FROM analyses WHERE item_id = :id"), {"id": item_id}
            ).scalar_one()
        vector = tuple(1.0 if index == direction else 0.0 for index in range(8))
        assert math.hypot(*vector) == 1
        payload = EmbeddingStored(
            version_id=self._versions[item_id], analysis_id=analysis_id, model="local/test", dimensions=8, vector=vector
        )
        self.tell(item_id, "embed", payload)

    def detected(self, item_id: uuid.UUID, detections: Sequence[Detection] = (CAT,), *, generation: int = 0) -> None:
        payload = DetectionsCompleted(
            version_id=self._versions[item_id], model=get_settings().detect_model, detections=tuple(detections)
        )
        self.tell(item_id, "detect", payload, generation)

    def done(self, name: str = "cat.jpg", hour: datetime = HOUR, direction: int = 0) -> uuid.UUID:
        """An item that has been through everything."""
        item_id = self.upload(name, hour)
        self.probed(item_id)
        self.thumbnailed(item_id)
        self.analysed(item_id)
        self.embedded(item_id, direction)
        self.detected(item_id)
        return item_id

    def removed(self, item_id: uuid.UUID) -> None:
        self.store.append([upload_removed(item_id, self._versions[item_id], user_id="ada", occurred_at=datetime.now(UTC))])

    def failed(self, item_id: uuid.UUID, step: str, *, retry_at: datetime | None) -> None:
        """A failed attempt; without `retry_at` the last one."""
        code, message, version = ErrorCode.STEP_ERROR, "ValueError", self._versions[item_id]
        failure = StepFailed(version_id=version, code=code, message=message, retry_at=retry_at)
        ref, execution, now = self._ref(item_id, step), self._execution(), datetime.now(UTC)
        events = [step_failed(ref, failure, execution=execution, occurred_at=now)]
        if retry_at is None:
            end = StepAbandoned(version_id=version, code=code, message=message, failures=5)
            events.append(step_abandoned(ref, end, execution=execution, occurred_at=now))
        self.store.append(events)

    def tell(self, item_id: uuid.UUID, step: str, payload: Payload, generation: int = 0) -> None:
        """Append a conclusive outcome of a step."""
        now = datetime.now(UTC)
        self.store.append(
            [step_succeeded(self._ref(item_id, step, generation), payload, execution=self._execution(), occurred_at=now)]
        )

    def _execution(self) -> Execution:
        return Execution(target="lambda", run_id=self.run_id, attempt_id=str(uuid.uuid4()), milliseconds=5)

    def _ref(self, item_id: uuid.UUID, step: str, generation: int = 0) -> StepRef:
        return StepRef(
            item_id=item_id,
            user_id="ada",
            version_id=self._versions[item_id],
            step=step,
            recipe=STEPS[step].recipe(get_settings()).digest,
            generation=generation,
        )


@cache
def webp(width: int, height: int, **options: Any) -> bytes:
    """A picture that isn't of one colour."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "WEBP", **options)
    return buffer.getvalue()
