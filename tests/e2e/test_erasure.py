"""A photo that went through everything is erased from the running system, and its key begins anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import SAMPLES, RunningStack

pytestmark = pytest.mark.timeout(300)


def test_a_photo_is_erased_with_everything_and_its_key_begins_anew(running: RunningStack, tmp_path: Path) -> None:
    photo = tmp_path / "secret.png"
    photo.write_bytes((SAMPLES / "coffee.png").read_bytes())
    [upload] = running.json("upload", photo, "--user", "eve", "--wait")
    key, item_id = upload["key"], upload["item_id"]
    assert upload["state"] == "done"

    [receipt] = running.json("erase", key, "--yes")

    removed = receipt["removed"]
    assert (removed["payloads"], removed["vectors"], removed["object_versions"]) == (6, 1, 1)
    assert removed["derived_objects"] >= 3
    assert removed["contact_sheets"] >= 1
    assert objects(running, key) == objects(running, f"derived/{item_id}/") == []
    assert running.sql("SELECT key FROM erasures WHERE item_id = %s AND sweep_at > now()", item_id) == [(key,)]
    assert f"item {item_id} was erased at" in running.cli("show", item_id, expect=1).stderr

    running.put(key, photo.read_bytes())
    [(again,)] = running.eventually(lambda: running.sql("SELECT item_id FROM items WHERE key = %s", key))
    assert str(again) != item_id


def objects(running: RunningStack, prefix: str) -> list[Any]:
    """Versions and delete markers under a prefix."""
    listed = running.s3().list_object_versions(Bucket=running.environment["MEDIA_BUCKET"], Prefix=prefix)
    return [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]
