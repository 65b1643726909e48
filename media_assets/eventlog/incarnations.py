"""Which item a key is today. Erasing an item ends it for good; what is uploaded under its key afterwards is another item.

The items of a key are numbered, and each begins only after the one before it was erased: the first number that wasn't
erased is the key's item of today.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection, text

from media_assets.eventlog.catalogue import UploadReceived
from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.events import NewEvent, item_id_of, item_stream
from media_assets.eventlog.store import EventStore

Address = tuple[str, str]
"""Bucket and key."""

_MORE_EACH_TIME = 8
"""Keys that were erased often take a query for 1, 8, 64, … more erasures."""


def living_items(connection: Connection, addresses: Iterable[Address]) -> dict[Address, uuid.UUID]:
    """The item that each address is today, whether anything was uploaded to it yet or not."""
    return {address: item_id_of(*address, number) for address, number in _numbers(connection, addresses).items()}


def last_erased(connection: Connection, address: Address) -> uuid.UUID | None:
    """The newest item of an address that was erased."""
    number = _numbers(connection, [address])[address]
    return item_id_of(*address, number - 1) if number else None


def erased_items(connection: Connection, item_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these items and jobs that were erased."""
    rows = connection.execute(
        text("""
            SELECT item_id FROM events WHERE type = 'ItemErased' AND item_id = ANY(:ids) AND job_id IS NULL
            UNION ALL SELECT job_id FROM events WHERE type = 'ItemErased' AND job_id = ANY(:ids)
        """),
        {"ids": list(item_ids)},
    )
    return set(rows.scalars())


def receive_uploads(store: EventStore, uploads: Sequence[NewEvent]) -> list[NewEvent]:
    """Append uploads, each to the item that its key is today. Returns those that were new, as appended.

    The id of an upload says nothing of the item: told again after its item was erased, it is a repeat and begins nothing.
    """
    while uploads:
        addressed = _addressed(store, uploads)
        try:
            appended = store.append(addressed)
        except StreamClosedError:
            continue  # erased since we looked, so it is another item by now
        return [upload for upload, (_, inserted) in zip(addressed, appended, strict=True) if inserted]
    return []


def _addressed(store: EventStore, uploads: Sequence[NewEvent]) -> list[NewEvent]:
    addresses = [_address(upload) for upload in uploads]
    with store.engine.connect() as connection:
        living = living_items(connection, addresses)
    items = [living[address] for address in addresses]
    return [
        upload.model_copy(update={"item_id": item_id, "stream_id": item_stream(item_id)})
        for upload, item_id in zip(uploads, items, strict=True)
    ]


def _address(upload: NewEvent) -> Address:
    if not isinstance(upload.payload, UploadReceived):
        raise TypeError(f"{upload.payload.type} is no upload")
    return upload.payload.bucket, upload.payload.key


def _numbers(connection: Connection, addresses: Iterable[Address]) -> dict[Address, int]:
    """How many items of each address were erased."""
    found: dict[Address, int] = {}
    unsure = set(addresses)
    numbers = range(1)
    while unsure:
        candidates = {item_id_of(*address, number) for address in unsure for number in numbers}
        erased = erased_items(connection, candidates)
        for address in unsure:
            living = (number for number in numbers if item_id_of(*address, number) not in erased)
            if (number := next(living, None)) is not None:
                found[address] = number
        unsure -= found.keys()
        numbers = range(numbers.stop, numbers.stop + _MORE_EACH_TIME * len(numbers))
    return found
