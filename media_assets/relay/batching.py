"""Which entries go out in one call, and in which order: decided on plain values."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from media_assets.eventlog.outbox import Page
from media_assets.eventlog.published import Entry

SOURCE = "media-assets"
MAX_ENTRIES = 10
MAX_BYTES = 256 * 1024
"""What PutEvents takes at once. EventBridge User Guide, "Calculating PutEvents event entry size": less than 256 KB."""


class Batch(NamedTuple):
    """A run of the log: entries to send, at most one of a stream, and entries to hold behind earlier ones of theirs.
    When both are stored the cursor moves from `after` to `upto`."""

    after: int
    upto: int
    send: list[Entry]
    behind: list[Entry]


def batches(page: Page, held: Collection[str]) -> Iterator[Batch]:
    """Cut a page into calls, in position order and without gaps, so that one cursor says what was published.

    `held` are the streams that wait for a refused entry. It is looked at again for every batch: a refusal holds back what
    follows on the same page.
    """
    after, send, behind = page.after, list[Entry](), list[Entry]()
    for entry in page.entries:
        if send and not _fits(entry, send):
            yield Batch(after, entry.position - 1, send, behind)
            after, send, behind = entry.position - 1, [], []
        (behind if entry.stream_id in held else send).append(entry)
    if page.upto > after:
        yield Batch(after, page.upto, send, behind)


def size_bytes(entry: Entry) -> int:
    """As EventBridge counts it: 14 for the time, the rest in UTF-8."""
    return 14 + sum(len(part.encode()) for part in (SOURCE, entry.detail_type, entry.detail))


def _fits(entry: Entry, send: list[Entry]) -> bool:
    """An entry of a held stream ends a batch, too, if its stream is in it: only a refusal in this very call could be why."""
    return (
        len(send) < MAX_ENTRIES
        and entry.stream_id not in {each.stream_id for each in send}
        and sum(map(size_bytes, [*send, entry])) < MAX_BYTES
    )
