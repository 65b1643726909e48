"""What can happen to an item, as events that read like a story: `cat = Life("cat.jpg"); store.append([cat.upload(), …])`."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import Connection, text

from media_assets.eventlog.catalogue import (
    AnalysisCompleted,
    Detection,
    DetectionsCompleted,
    EmbeddingStored,
    MediaProbed,
    SpendingResumed,
    SpendingStopped,
    StepAbandoned,
    StepFailed,
    Thumbnail,
    ThumbnailCreated,
    UploadRejected,
)
from media_assets.eventlog.events import (
    Execution,
    NewEvent,
    StepRef,
    item_erased,
    item_id_of,
    reprocess_requested,
    spending_changed,
    step_abandoned,
    step_failed,
    step_succeeded,
    upload_removed,
)
from media_assets.eventlog.migrate import PROJECTIONS
from media_assets.eventlog.store import EventStore
from tests.conftest import received

NOON = datetime(2026, 7, 1, 12, 20, tzinfo=UTC)
HOUR = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOON_DAY = NOON.date()
EXECUTION = Execution(target="lambda", target_reason="only_target", run_id="run-1", milliseconds=12, memory_mb=128)


class StepFailedV1(StepFailed):
    """As version 1 of the event was written: the attempt in the body, and in no clear column."""

    schema_version: ClassVar[int] = 1
    attempt_id: str


@dataclass(frozen=True)
class Life:
    """One key of a bucket, uploaded by ada. Versions are named by the caller; outcomes are of v1, generation 0,
    recipe `r1` unless they say otherwise. `incarnation` counts how often an item of the key was erased before."""

    key: str = "uploads/ada/cat.jpg"
    incarnation: int = 0
    bucket: str = "photos"

    @property
    def item_id(self) -> uuid.UUID:
        return item_id_of(self.bucket, self.key, self.incarnation)

    @property
    def stream_id(self) -> str:
        return f"item-{self.item_id}"

    def upload(self, version: str = "v1", sequencer: str | None = None, at: datetime = NOON) -> NewEvent:
        """By default v1, v2, … were uploaded in the order of their names."""
        first = received(self.key, version, sequencer=sequencer or version, at=at)
        return first.model_copy(update={"item_id": self.item_id, "stream_id": self.stream_id})

    def removed(self, version: str = "v1") -> NewEvent:
        return upload_removed(self.item_id, version, user_id="ada", occurred_at=NOON)

    def probed(self, version: str = "v1", *, width: int = 40, generation: int = 0, recipe: str = "r1") -> NewEvent:
        payload = MediaProbed(
            version_id=version, kind="image", format="jpeg", content_type="image/jpeg", width=width, height=30, orientation=1
        )
        return step_succeeded(self._ref(version, "probe", generation, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def rejected(
        self, version: str = "v1", *, step: str = "probe", code: str = "corrupt", generation: int = 0, recipe: str = "r1"
    ) -> NewEvent:
        payload = UploadRejected(version_id=version, code=code, message=f"it is {code}")
        return step_succeeded(self._ref(version, step, generation, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def thumbnails(
        self, version: str = "v1", *, sizes: Sequence[int] = (256, 800), generation: int = 0, recipe: str = "r1"
    ) -> NewEvent:
        pictures = tuple(
            Thumbnail(
                size=size,
                width=size,
                height=size // 2,
                key=f"derived/{version}/{recipe}/{generation}/{size}.webp",
                sha256="0" * 64,
                size_bytes=size,
                content_type="image/webp",
            )
            for size in sizes
        )
        payload = ThumbnailCreated(version_id=version, placeholder="3OcRJYB4d3h/iIeHeEh3eIhw+j2w", thumbnails=pictures)
        return step_succeeded(
            self._ref(version, "thumbnail", generation, recipe), payload, execution=EXECUTION, occurred_at=NOON
        )

    def detections(
        self, version: str = "v1", *, labels: Sequence[str] = ("cat",), generation: int = 0, recipe: str = "r1"
    ) -> NewEvent:
        found = tuple(
            Detection(label=label, confidence=0.875 - 0.125 * number, bbox=(number, 1, 20, 10))
            for number, label in enumerate(labels)
        )
        payload = DetectionsCompleted(version_id=version, model="boxes", detections=found)
        return step_succeeded(self._ref(version, "detect", generation, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def analysis(
        self, version: str = "v1", *, summary: str = "A cat.", generation: int = 0, recipe: str = "r1", **fields: Any
    ) -> NewEvent:
        payload = AnalysisCompleted(
            version_id=version,
            provider="local",
            model="sight",
            analysis={
                "category": "animal",
                "summary": summary,
                "tags": ["cat"],
                "objects": [],
                "text": [],
                "dominant_colours": [{"hex": "#aa8866", "name": "brown", "share": 1.0}],
                **fields,
            },
        )
        return step_succeeded(self._ref(version, "analyze", generation, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def embedding(
        self,
        version: str = "v1",
        *,
        vector: Sequence[float] = (1.0, 0.0, 0.0),
        model: str = "meaning",
        generation: int = 0,
        recipe: str = "r1",
    ) -> NewEvent:
        payload = EmbeddingStored(
            version_id=version,
            analysis_id=self.analysis(version).event_id,
            model=model,
            dimensions=len(vector),
            vector=tuple(vector),
        )
        return step_succeeded(self._ref(version, "embed", generation, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def failed(
        self,
        step: str,
        version: str = "v1",
        *,
        attempt: str = "a1",
        retry_at: datetime | None = None,
        generation: int = 0,
        recipe: str = "r1",
        code: str = "timeout",
    ) -> NewEvent:
        payload = StepFailed(version_id=version, code=code, message=f"{code} in {attempt}", retry_at=retry_at)
        execution = EXECUTION.model_copy(update={"attempt_id": attempt})
        return step_failed(self._ref(version, step, generation, recipe), payload, execution=execution, occurred_at=NOON)

    def failed_in_v1(self, step: str, version: str = "v1", *, attempt: str = "a1", **key: Any) -> NewEvent:
        """The same failure as code of that time told it."""
        today = self.failed(step, version, attempt=attempt, **key)
        payload = StepFailedV1(**today.payload.model_dump(), attempt_id=attempt)
        return today.model_copy(update={"payload": payload, "attempt_id": None})

    def abandoned(
        self, step: str, version: str = "v1", *, generation: int = 0, recipe: str = "r1", code: str = "crashed"
    ) -> NewEvent:
        payload = StepAbandoned(version_id=version, code=code, message=f"{code}, given up", failures=5)
        return step_abandoned(self._ref(version, step, generation, recipe), payload, execution=EXECUTION, occurred_at=NOON)

    def reprocess(self, step: str, generation: int = 1) -> NewEvent:
        return reprocess_requested(self.item_id, step, generation, reason="somebody asked", user_id="ada", occurred_at=NOON)

    def erased(self) -> NewEvent:
        return item_erased(self.item_id, reason="ada asked", user_id="ada", occurred_at=NOON)

    def processed(self, version: str = "v1", **key: Any) -> list[NewEvent]:
        """Every step's success, in order."""
        makers = (self.probed, self.thumbnails, self.analysis, self.embedding, self.detections)
        return [make(version, **key) for make in makers]

    def done(self, version: str = "v1", at: datetime = NOON) -> list[NewEvent]:
        """From the upload to the last step."""
        return [self.upload(version, at=at), *self.processed(version)]

    def _ref(self, version: str, step: str, generation: int, recipe: str) -> StepRef:
        return StepRef(item_id=self.item_id, user_id="ada", version_id=version, step=step, recipe=recipe, generation=generation)


def spending_stopped(account_version: int = 0, *, user: str = "ada", day: date = NOON_DAY) -> NewEvent:
    """The user's budget of the day is spent."""
    payload = SpendingStopped(day=day, limit_micro_dollars=1000, spent_micro_dollars=998, step="analyze")
    return spending_changed(user, payload, account_version=account_version, occurred_at=NOON)


def spending_resumed(account_version: int, *, user: str = "ada") -> NewEvent:
    """Another day has begun for the user."""
    return spending_changed(user, SpendingResumed(reason="day"), account_version=account_version, occurred_at=NOON)


def rows(source: EventStore | Connection, query: str, **parameters: Any) -> list[dict[str, Any]]:
    """What a query says, a dict a row; on a store in a transaction of its own."""
    if isinstance(source, EventStore):
        with source.engine.connect() as connection:
            return rows(connection, query, **parameters)
    return [dict(row) for row in source.execute(text(query), parameters).mappings()]


def item(store: EventStore, life: Life) -> dict[str, Any]:
    """The item's row. Raises ValueError if it has none."""
    [row] = rows(store, "SELECT * FROM items WHERE item_id = :id", id=life.item_id)
    return row


def steps(store: EventStore, life: Life) -> dict[str, str]:
    """Where each of the item's steps stands; steps that aren't due yet are not there."""
    return {
        row["step"]: row["state"] for row in rows(store, "SELECT step, state FROM steps WHERE item_id = :id", id=life.item_id)
    }


def step(store: EventStore, life: Life, name: str) -> dict[str, Any]:
    """One step's row."""
    [row] = rows(store, "SELECT * FROM steps WHERE item_id = :id AND step = :step", id=life.item_id, step=name)
    return row


def begin_anew(connection: Connection) -> None:
    """Empty the log and its read models, as only a superuser can."""
    connection.rollback()
    tables = ("events", "event_payloads")
    connection.exec_driver_sql(
        "; ".join(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in tables)
        + f"; TRUNCATE {', '.join([*tables, *PROJECTIONS])}; "
        + "; ".join(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only" for table in tables)
        + "; ALTER TABLE event_payloads ENABLE ALWAYS TRIGGER event_payloads_until_erased"
    )
    connection.commit()
