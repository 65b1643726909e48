"""The chain as a reader recomputes it."""

from __future__ import annotations

from collections.abc import Iterable

from media_assets.eventlog.catalogue import PayloadErased
from media_assets.eventlog.chain import GENESIS, event_bytes, link, payload_digest
from media_assets.eventlog.events import Event
from media_assets.eventlog.stored import stored_body


def assert_chained(events: Iterable[Event], last: bytes = GENESIS) -> None:
    """Every hash follows from the one before it and the event's clear columns; payloads have the digest that is in them."""
    for event in events:
        last = link(last, event_bytes(event.model_dump(exclude={"payload"})))
        assert event.hash == last, event.position
        if not isinstance(event.payload, PayloadErased):
            assert event.payload_sha256 == payload_digest(stored_body(event.payload)), event.position
