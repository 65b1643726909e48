"""Events as they occur in life: uploads of new items by the hundred, then what each step made of them, batch by batch."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from media_assets.eventlog.catalogue import (
    AnalysisCompleted,
    EmbeddingStored,
    MediaProbed,
    Payload,
    Thumbnail,
    ThumbnailCreated,
    UploadReceived,
)
from media_assets.eventlog.events import Execution, NewEvent, StepRef, hour_of, item_id_of, step_succeeded, upload_received

BUCKET = "photos"
USER = "ada"
AT = datetime(2026, 7, 1, 12, 20, tzinfo=UTC)
DIMENSIONS = 384
_EXECUTION = Execution(target="lambda", run_id=str(uuid.UUID(int=7)), milliseconds=212, memory_mb=1769)
_WORDS = ("tabby", "cat", "sleeping", "green", "sofa", "books", "window", "afternoon", "lamp", "plant")


def uploads(first: int, count: int) -> list[NewEvent]:
    """UploadReceived for new items `first`, `first` + 1, …: `count` events."""
    return [_upload(number) for number in range(first, first + count)]


def lives(first: int, count: int, batch: int = 100) -> list[NewEvent]:
    """`count` events of a fifth as many new items, from the upload to the vector, a batch of items at a time."""
    events: list[NewEvent] = []
    for start in range(first, first + count // 5, batch):
        numbers = range(start, min(start + batch, first + count // 5))
        steps = zip(*(_life(number) for number in numbers), strict=True)
        events += [event for step in steps for event in step]
    return events


def _life(number: int) -> Iterator[NewEvent]:
    upload = _upload(number)
    item_id, version_id = item_id_of(BUCKET, _key(number)), _version(number)
    yield upload
    analysis_id = None
    for step, payload in _outcomes(number, item_id, version_id):
        if isinstance(payload, EmbeddingStored):
            payload = payload.model_copy(update={"analysis_id": analysis_id})
        recipe = hashlib.sha256(step.encode()).hexdigest()[:16]
        ref = StepRef(item_id=item_id, user_id=USER, version_id=version_id, step=step, recipe=recipe, generation=0)
        event = step_succeeded(ref, payload, execution=_EXECUTION, occurred_at=AT)
        analysis_id = event.event_id if step == "analyze" else analysis_id
        yield event


def _upload(number: int) -> NewEvent:
    payload = UploadReceived(
        bucket=BUCKET,
        key=_key(number),
        version_id=_version(number),
        etag=hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest(),
        size_bytes=2_000_000 + number,
        sequencer=f"{number:016X}",
        hour=hour_of(AT),
    )
    return upload_received(payload, user_id=USER, occurred_at=AT)


def _outcomes(number: int, item_id: uuid.UUID, version_id: str) -> Iterator[tuple[str, Payload]]:
    rng = random.Random(number)
    yield (
        "probe",
        MediaProbed(
            version_id=version_id,
            kind="image",
            format="jpeg",
            content_type="image/jpeg",
            width=4000,
            height=3000,
            orientation=1,
            exif={"make": "Canon", "model": "EOS R6", "taken_at": "2026-07-01T10:00:00", "iso": 400, "f_number": 2.8},
        ),
    )
    pictures = tuple(
        Thumbnail(
            size=size,
            width=size,
            height=size * 3 // 4,
            key=f"derived/{item_id}/thumbnail/{version_id}/0/{size}.webp",
            sha256=hashlib.sha256(f"{number} {size}".encode()).hexdigest(),
            size_bytes=size * 90,
            content_type="image/webp",
        )
        for size in (1600, 800, 256)
    )
    yield "thumbnail", ThumbnailCreated(version_id=version_id, placeholder=rng.randbytes(18).hex(), thumbnails=pictures)
    yield (
        "analyze",
        AnalysisCompleted(
            version_id=version_id,
            provider="local",
            model="local/efficientnet-lite0",
            analysis={
                "category": "animal",
                "summary": " ".join(rng.choices(_WORDS, k=20)),
                "tags": rng.choices(_WORDS, k=8),
                "objects": [],
                "text": [],
                "dominant_colours": [{"hex": f"#{rng.randrange(1 << 24):06x}", "name": "brown", "share": 0.25}] * 4,
            },
        ),
    )
    vector = tuple(float(f"{rng.uniform(-0.1, 0.1):.8g}") for _ in range(DIMENSIONS))
    yield (
        "embed",
        EmbeddingStored(
            version_id=version_id, analysis_id=uuid.UUID(int=0), model="minilm-l6", dimensions=DIMENSIONS, vector=vector
        ),
    )


def _key(number: int) -> str:
    return f"uploads/{USER}/holidays/IMG_{number:09d}.jpg"


def _version(number: int) -> str:
    return hashlib.sha256(f"version {number}".encode()).hexdigest()[:32]
