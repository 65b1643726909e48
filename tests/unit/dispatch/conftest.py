"""Interruptions, as Dagster makes them of a signal."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from dagster import DagsterExecutionInterruptedError


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGUSR1 raises what Dagster raises in a run that is cancelled."""

    def interrupt(number: int, frame: object) -> None:
        raise DagsterExecutionInterruptedError

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)
