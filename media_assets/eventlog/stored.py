"""How an event becomes what is stored of it, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticSerializationError

from media_assets.eventlog.catalogue import CATALOGUE, Payload, PayloadErased
from media_assets.eventlog.errors import FutureSchemaError, UnknownEventTypeError
from media_assets.eventlog.events import Event, NewEvent

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
"""NUL and lone surrogates: Postgres can't hold them in a text, and one would fail every event of its append."""


def stored_body(payload: Payload) -> dict[str, Any]:
    """The payload's fields as JSON values, with U+FFFD for every character that Postgres refuses."""
    try:
        dumped = payload.model_dump(mode="json")
    except UnicodeEncodeError:  # a lone surrogate in a key, which pydantic replaces no more than Postgres does
        dumped = type(payload).model_validate(_storable(payload.model_dump())).model_dump(mode="json")
    return {name: _storable(value) for name, value in dumped.items()}


def read_event(columns: Mapping[str, Any], body: Mapping[str, Any] | None) -> Event:
    """An event from its clear columns and its body. Raises as `read_payload` does."""
    return Event(payload=read_payload(columns["type"], columns["schema_version"], body), **columns)


def read_payload(type: str, schema_version: int, body: Mapping[str, Any] | None) -> Payload:
    """A stored body, upcast already, as its payload; None stands for an erased one.

    Raises UnknownEventTypeError or FutureSchemaError for what newer code has written, and pydantic's ValidationError, which
    names the field, for a body that is not what its type says.
    """
    if type not in CATALOGUE:
        raise UnknownEventTypeError(type)
    if schema_version > CATALOGUE[type].schema_version:
        raise FutureSchemaError(type, schema_version, CATALOGUE[type].schema_version)
    return PayloadErased() if body is None else CATALOGUE[type].model_validate(body)


def batch_json(events: Sequence[NewEvent]) -> str:
    """The rows of events as a JSON array, for append_batch. Serialized by pydantic's core, in a tenth of the time that a
    vector takes otherwise, unless there is a character to replace."""
    try:
        batch = f"[{','.join(map(_row_json, events))}]"
    except (PydanticSerializationError, UnicodeEncodeError):  # a lone surrogate is no UTF-8, in a value or in a key
        batch = None
    if batch is None or "\\u0000" in batch:
        return json.dumps([new_row(event) for event in events])
    return batch


def _row_json(event: NewEvent) -> str:
    payload = event.payload
    columns = event.model_dump_json(exclude={"payload"}).removesuffix("}")
    return f'{columns},"type":"{payload.type}","schema_version":{payload.schema_version},"body":{payload.model_dump_json()}}}'


def new_row(event: NewEvent) -> dict[str, Any]:
    """An event as append_batch takes it: JSON values by column, and its `body`."""
    return event.model_dump(mode="json", exclude={"payload"}) | {
        "type": event.payload.type,
        "schema_version": event.payload.schema_version,
        "body": stored_body(event.payload),
    }


def _storable(value: Any) -> Any:
    match value:
        case str():
            return _UNSTORABLE.sub("\ufffd", value)
        case list() | tuple():
            return [_storable(each) for each in value]
        case dict():
            return {_storable(name): _storable(each) for name, each in value.items()}
        case _:
            return value
