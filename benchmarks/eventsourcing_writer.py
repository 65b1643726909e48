"""A writer of the `eventsourcing` library (writers.py): the application recorder that its Postgres factory makes.

Run by the interpreter of the benchmarks' own environment, so it imports nothing of this project. What it appends are the
same payloads as bytes: serializing them is no part of its time, while it is of ours.

An order with `create` makes the tables. One with `function` inserts through the library's function in the database, an
option of its own: by default it inserts through psycopg's pipeline, which waits for ever once an append is larger than
the socket's buffer (psycopg 3.3.9 reads answers before it has sent all of the last message).
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresFactory


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        environment = {
            "POSTGRES_DBNAME": order["dbname"],
            "POSTGRES_HOST": order["host"],
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD": "",
            "CREATE_TABLE": "yes" if order.get("create") else "no",
            "POSTGRES_ENABLE_DB_FUNCTIONS": "yes" if order.get("function") else "no",
        }
        with PostgresFactory(environment) as factory:
            recorder = factory.application_recorder()
            recorder.max_notification_id()
            events = [_event(json.loads(each)) for each in Path(order["file"]).read_text().splitlines()]
            size = order["per_append"]
            batches = [events[start : start + size] for start in range(0, len(events), size)]
            gc.collect()
            print("ready", flush=True)
            sys.stdin.readline()
            for batch in batches:
                recorder.insert_events(batch)
            print("done", flush=True)


def _event(told: dict[str, Any]) -> StoredEvent:
    fields = told["fields"]
    return StoredEvent(
        originator_id=UUID(fields["item_id"]),
        originator_version=told["version"],
        topic=fields["type"],
        state=json.dumps(fields["body"]).encode(),
    )


if __name__ == "__main__":
    main()
