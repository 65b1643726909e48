"""A process that erases an item and is killed on the way: `python -m tests.unit.erasure.killed ITEM WHERE`.

WHERE: `heard` (versions are told, nothing is erased), `uncommitted`, `erased`, `originals` (in the first sweep, when the
originals are gone), `swept` (all is removed, and nobody has written that down).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import boto3
from sqlalchemy import Engine, event

from media_assets.erasure.eraser import Eraser
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings


def main(item: str, where: str) -> None:
    settings = get_settings()
    s3: Any = boto3.client("s3")
    eraser = Eraser.connect(settings, EventStore.connect(settings.database_url), s3)
    target = eraser.find(item)
    if where == "heard":
        event.listen(eraser.log.engine, "begin", die)
    if where == "uncommitted":
        event.listen(eraser.log.engine, "commit", die)
    erasure, _ = eraser.erase(target, reason="a test")
    if where == "erased":
        die()
    if where == "originals":
        s3.meta.events.register("before-call.s3.DeleteObjects", at_the(2, die))
    if where == "swept":
        event.listen(eraser.log.engine, "commit", die)
    eraser.sweep(erasure.item_id)


def at_the(time: int, act: Callable[[], None]) -> Callable[..., None]:
    """What does `act` when it is called for the n-th time."""
    calls: list[Any] = []

    def count(**arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == time:
            act()

    return count


def die(connection: Engine | None = None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
