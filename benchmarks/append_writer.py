"""A writer of ours (writers.py): appends through EventStore as the application's role, as the sensors and runs do."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from media_assets.eventlog.catalogue import CATALOGUE
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import EventStore


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        store = EventStore.connect(order["url"])
        store.head()
        events = [_event(**json.loads(each)["fields"]) for each in Path(order["file"]).read_text().splitlines()]
        size = order["per_append"]
        batches = [events[start : start + size] for start in range(0, len(events), size)]
        gc.collect()
        print("ready", flush=True)
        sys.stdin.readline()
        for batch in batches:
            store.append(batch)
        print("done", flush=True)
        store.engine.dispose()


def _event(type: str, body: dict[str, object], **fields: object) -> NewEvent:
    return NewEvent.model_validate({**fields, "payload": CATALOGUE[type].model_validate(body)})


if __name__ == "__main__":
    main()
