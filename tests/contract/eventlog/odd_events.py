"""Events that a log has to look at twice: decided on some version, or told by newer code."""

from __future__ import annotations

from typing import ClassVar

from media_assets.eventlog.catalogue import Payload, UploadRemoved
from media_assets.eventlog.events import NewEvent
from tests.unit.eventlog.lives import Life


class Unheard(Payload):
    """An event that only newer code knows."""

    type: ClassVar[str] = "Unheard"


class RemovedInFuture(UploadRemoved):
    """One that has changed since."""

    schema_version: ClassVar[int] = 2


def at_version(event: NewEvent, expected: int) -> NewEvent:
    return event.model_copy(update={"expected_version": expected})


def unheard(life: Life) -> NewEvent:
    return life.removed("unheard").model_copy(update={"payload": Unheard()})


def from_the_future(life: Life) -> NewEvent:
    return life.removed("future").model_copy(update={"payload": RemovedInFuture(version_id="future")})
