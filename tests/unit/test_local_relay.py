"""The relay of the stack is the deployed command with its own role, and says why it doesn't start."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from media_assets.local.processes import ProcessDiedError
from media_assets.local.relay_process import RelayProcess, relay_environment


def test_it_gets_no_database_as_another_role() -> None:
    own = {"MEDIA_RELAY_DATABASE_URL": "postgresql://relay", "MEDIA_EVENT_BUS": "bus", "AWS_REGION": "us-east-1"}
    others = {
        name: f"postgresql://{name}"
        for name in ("DATABASE_URL", "MEDIA_OWNER_DATABASE_URL", "MEDIA_ERASER_DATABASE_URL", "DAGSTER_DATABASE_URL")
    }
    assert relay_environment(own | others) == own


def test_a_relay_that_does_not_start_says_why(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path / "relay", tmp_path)
    record = relay.start({"PATH": os.environ["PATH"], "AWS_REGION": "us-east-1", "MEDIA_RELAY_DATABASE_URL": "postgresql://"})
    with pytest.raises(ProcessDiedError, match="MEDIA_EVENT_BUS is not set"):
        relay.wait(record, lambda: False)
    relay.stop()
    assert not record.is_alive
