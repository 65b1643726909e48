"""docs/hash-chain.md describes the chain to strangers: its example is right, and its script finds what they should find."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from media_assets.eventlog.chain import GENESIS, canonical_json, event_bytes, link
from media_assets.eventlog.events import item_erased
from media_assets.eventlog.store import EventStore
from media_assets.local.postgres import _binaries
from tests.conftest import Database
from tests.unit.eventlog.lives import NOON, Life
from tests.unit.eventlog.tampering import deletion, tampered

PAGE = Path(__file__).resolve().parents[3] / "docs" / "hash-chain.md"


def block(title: str, language: str) -> str:
    """The one block of a language in a section of the page."""
    [section] = re.findall(rf"\n## {title}\n(.*?)(?=\n## )", PAGE.read_text(), re.DOTALL)
    [found] = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(found)


def run_documented_script(database: Database, folder: Path) -> tuple[int, str]:
    """Both blocks as they stand, in a shell that finds psql and Python; exit status, and what was said."""
    (folder / "verify_log.py").write_text(block("Verifying without this project", "python"))
    done = subprocess.run(
        ["bash", "-c", block("Verifying without this project", "sh")],
        cwd=folder,
        env={
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(_binaries()), os.environ["PATH"]]),
            "DATABASE_URL": database.application_url.replace("postgresql+psycopg", "postgresql"),
        },
        capture_output=True,
        text=True,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def test_the_example_is_a_chain_of_two_events() -> None:
    previous = GENESIS
    for event, payload, claimed in (part.split("\n") for part in block("The bytes", "text").strip().split("\n\n")):
        columns = json.loads(event)
        digest = hashlib.sha256(payload.encode()).digest()
        assert digest.hex() == columns["payload_sha256"]
        assert canonical_json(json.loads(payload)) == payload
        assert event_bytes({**columns, "payload_sha256": digest}) == event.encode()
        previous = link(previous, event.encode())
        assert previous.hex() == claimed
    assert f"the {len(block('The bytes', 'text').split(chr(10))[0])} bytes of its first line" in PAGE.read_text()


def test_the_script_comes_to_the_hash_of_the_head(database: Database, tmp_path: Path) -> None:
    database.store.append([*Life("uploads/ada/cat.jpg").done(), *Life("uploads/ada/ünïcödé\t\n.jpg").done()])
    eraser = EventStore.connect(database.owner_url.replace("//postgres@", "//media_assets_eraser@"))
    eraser.erase([item_erased(Life("uploads/ada/cat.jpg").item_id, reason="asked for", user_id="ada", occurred_at=NOON)])
    eraser.engine.dispose()
    [newest] = database.store.since(12)
    assert run_documented_script(database, tmp_path) == (0, f"13 {newest.hash.hex()}")


def test_the_script_finds_what_was_changed(database: Database, tmp_path: Path) -> None:
    database.store.append([*Life("uploads/ada/cat.jpg").done(), *Life("uploads/ada/dog.jpg").done()])
    tampered(database, *deletion("position = 10"))
    assert run_documented_script(database, tmp_path) == (1, "broken at position 10")
    tampered(
        database,
        "UPDATE event_payloads SET body = body || '{\"width\": 1}' WHERE event_id = (SELECT event_id FROM events"
        " WHERE position = 8)",
    )
    assert run_documented_script(database, tmp_path) == (1, "broken at position 8")
    tampered(database, "UPDATE events SET tokens_in = 1 WHERE position = 2")
    assert run_documented_script(database, tmp_path) == (1, "broken at position 2")
