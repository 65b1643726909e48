"""Dagster Pipes for functions that stay warm: one context per invocation, its messages part of the answer.

`dagster_pipes.open_dagster_pipes` keeps one context per process and returns it, closed, to a warm function's second
invocation. And messages printed to the log are cut after 4 KB without anybody noticing. So each invocation gets a
context of its own here, and what it says travels in the response payload.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster_pipes import (
    DAGSTER_PIPES_CONTEXT_ENV_VAR,
    DAGSTER_PIPES_MESSAGES_ENV_VAR,
    PipesContext,
    PipesDefaultContextLoader,
    PipesMappingParamsLoader,
    PipesMessage,
    PipesMessageWriter,
    PipesMessageWriterChannel,
    PipesParams,
    encode_param,
)

Listener = Callable[[PipesMessage], None]
PROGRESS_SECONDS = 1.0


@dataclass
class PipesSession:
    """One invocation's connection to Dagster. Once it is left, `messages` is complete, from "opened" to "closed"."""

    log: logging.Logger
    messages: list[PipesMessage] = field(default_factory=list)
    run_id: str | None = None
    partition_key: str | None = None
    context: PipesContext | None = None
    _told: tuple[str, int] = ("", 0)
    _told_at: float = 0.0

    def progress(self, item_id: str, fraction: float) -> None:
        """Tell how much of an item is done, from 0 to 1: each percent once, and at most one a second."""
        percent, now = min(100, max(0, int(fraction * 100))), time.monotonic()
        if self.context is None or (item_id, percent) == self._told or now - self._told_at < PROGRESS_SECONDS:
            return
        self._told, self._told_at = (item_id, percent), now
        self.context.report_custom_message({"progress": {"item_id": item_id, "percent": percent}})


@contextmanager
def pipes_session(event: Mapping[str, Any], listener: Listener | None = None) -> Iterator[PipesSession]:
    """Open what the event's Pipes parameters describe. Without them the session logs to the process's own log only.

    `listener` hears each message when it is written, for those who can't wait for the answer.
    """
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in event:
        yield PipesSession(log=logging.getLogger("lambdas"))
        return
    messages: list[PipesMessage] = []
    parameters = {DAGSTER_PIPES_MESSAGES_ENV_VAR: encode_param({})} | {
        name: event[name] for name in (DAGSTER_PIPES_CONTEXT_ENV_VAR, DAGSTER_PIPES_MESSAGES_ENV_VAR) if name in event
    }
    with PipesContext(
        PipesMappingParamsLoader(parameters), PipesDefaultContextLoader(), _Collector(messages, listener)
    ) as context:
        yield PipesSession(
            log=context.log,
            messages=messages,
            run_id=context.run_id,
            partition_key=context.partition_key if context.is_partition_step else None,
            context=context,
        )


class _Channel(PipesMessageWriterChannel):
    def __init__(self, messages: list[PipesMessage], listener: Listener | None) -> None:
        self._messages, self._listener = messages, listener

    def write_message(self, message: PipesMessage) -> None:
        self._messages.append(message)
        if self._listener is not None:
            self._listener(message)


class _Collector(PipesMessageWriter[_Channel]):
    """Collects messages in memory, whatever the orchestrator's parameters say."""

    def __init__(self, messages: list[PipesMessage], listener: Listener | None) -> None:
        self._messages, self._listener = messages, listener

    @contextmanager
    def open(self, params: PipesParams) -> Iterator[_Channel]:
        yield _Channel(self._messages, self._listener)
