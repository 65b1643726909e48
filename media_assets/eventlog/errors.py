"""Why the log refuses an append, or can't read what it holds. Nothing is written in any of these cases."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ConcurrencyError(Exception):
    """A command was decided on a version of its stream that is no longer the newest."""

    stream_id: str
    expected: int
    actual: int

    def __str__(self) -> str:
        return (
            f"stream {self.stream_id} is at version {self.actual}, not at the expected {self.expected}:"
            " read it and decide again"
        )


@dataclass
class StreamClosedError(Exception):
    """Streams whose items were erased: nothing follows."""

    stream_ids: frozenset[str]

    def __str__(self) -> str:
        return f"erased, so nothing follows in {', '.join(sorted(self.stream_ids))}"


@dataclass
class MixedErasureError(Exception):
    """ItemErased takes payloads along: it is appended by `erase`, and nothing else is."""

    def __str__(self) -> str:
        return "ItemErased is appended by erase, which removes what was said of the item; everything else by append"


@dataclass
class UnknownEventTypeError(Exception):
    """An event of a type that isn't in the catalogue: written by newer code, or by mistake."""

    type: str

    def __str__(self) -> str:
        return f"the log has no event type {self.type!r}: upgrade what reads it, or add the type to the catalogue"


@dataclass
class FutureSchemaError(Exception):
    """An event of a schema version above the newest known one."""

    type: str
    schema_version: int
    known: int

    def __str__(self) -> str:
        return (
            f"{self.type} of schema version {self.schema_version} is newer than the known {self.known}:"
            " upgrade what reads or migrates the log"
        )
