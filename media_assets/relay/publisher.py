"""One cycle of publishing: try what was refused before, then send what is new, a call at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from media_assets.eventlog.outbox import CursorMovedError, Outbox
from media_assets.eventlog.published import Entry
from media_assets.relay.batching import MAX_ENTRIES, batches
from media_assets.relay.event_bridge import Put
from media_assets.relay.outage import Say


class Publisher:
    """`published` counts what was sent, by detail type; `say` gets a sentence for a person for each refusal."""

    def __init__(self, outbox: Outbox, put: Put, say: Say, published: Counter[str]) -> None:
        self._outbox = outbox
        self._put = put
        self._say = say
        self._published = published

    def cycle(self, go_on: Callable[[], bool] = lambda: True) -> bool:
        """Publish a page of the log. Whether there was anything to do; False means that it is time to wait.

        `go_on` is asked between calls. Raises BusUnavailableError; what was sent before is stored.
        """
        retried = self._retry()
        page = self._outbox.page()
        held = self._outbox.held_streams()
        try:
            for batch in batches(page, held):
                refused = self._send(batch.send)
                self._outbox.settle(batch.send, refused, batch.behind, after=batch.after, upto=batch.upto)
                held |= {entry.stream_id for entry in batch.send if entry.position in refused}
                if not go_on():
                    break
        except CursorMovedError as error:
            self._say(str(error))
        return retried or page.upto > page.after

    def _retry(self) -> bool:
        entries = self._outbox.due(MAX_ENTRIES)
        if entries:
            self._outbox.settle_retries(entries, self._send(entries))
        return bool(entries)

    def _send(self, entries: Sequence[Entry]) -> dict[int, str]:
        if not entries:
            return {}
        refused = self._put(entries)
        for entry in entries:
            if entry.position in refused:
                self._say(
                    f"{entry.detail_type} at position {entry.position} holds back {entry.stream_id}: {refused[entry.position]}"
                )
            else:
                self._published[entry.detail_type] += 1
        return refused
