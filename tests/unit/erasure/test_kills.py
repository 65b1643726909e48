"""An erasure that is killed at any point is finished by the sensor, or has not begun; so is one that S3 resists."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import DagsterInstance, SkipReason, build_sensor_context

from media_assets.defs.resource import MediaResource
from media_assets.defs.sensors.erasure_sweeps import erasure_sweep_sensor
from media_assets.erasure.objects import ObjectVersion, remove
from media_assets.erasure.sweep import SweepError, sweep_due
from media_assets.eventlog.replay import verify_replay
from media_assets.settings import SettingMissingError, get_settings
from tests.conftest import Database
from tests.unit.defs.owner import as_owner
from tests.unit.erasure.conftest import KEY, Album


def tick(instance: DagsterInstance) -> str:
    """What the sensor's tick says."""
    with build_sensor_context(instance=instance, resources={"media": MediaResource()}) as context:
        said = erasure_sweep_sensor(context)
    assert isinstance(said, SkipReason)
    return str(said.skip_message)


@pytest.fixture
def instance() -> DagsterInstance:
    return DagsterInstance.ephemeral()


def kill(item_id: uuid.UUID, where: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tests.unit.erasure.killed", str(item_id), where], env=os.environ)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("where", ["heard", "uncommitted", "erased", "originals", "swept"])
def test_a_kill_anywhere(album: Album, database: Database, instance: DagsterInstance, where: str) -> None:
    cat = album.gallery.done("cat.jpg")
    unheard = album.put()
    album.show(cat)
    objects = sorted(album.objects())

    kill(cat, where)

    if where in {"heard", "uncommitted"}:
        assert sorted(album.objects()) == objects
        assert album.rows_of(cat)["embeddings"] == 1
        assert tick(instance) == "no sweep is due"
        album.erase()
    else:
        assert album.rows_of(cat) == {}
        assert (KEY in album.objects()) == (where == "erased")
        assert tick(instance) == "1 sweeps done, 0 put off"
    assert album.nothing_is_left_of(cat)
    assert album.objects() == []
    assert tick(instance) == "no sweep is due"

    as_owner(database, "UPDATE erasures SET sweep_at = now(), final_at = now()")  # 21 minutes later
    assert tick(instance) == "1 sweeps done, 0 put off"
    erasure = album.eraser.sweep(cat)
    assert (erasure.complete, erasure.key) == (True, None)
    assert album.told(unheard).event_id in {event.event_id for event in album.store.stream(f"item-{cat}")}
    assert verify_replay(database.owner_url).identical


def test_the_sensor_needs_the_erasers_role_only_when_there_is_something_to_do(
    album: Album, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MEDIA_ERASER_DATABASE_URL")
    get_settings.cache_clear()
    assert tick(instance) == "no sweep is due"
    album.upload()
    album.eraser.erase(album.eraser.find(KEY), reason="a test")
    with pytest.raises(SettingMissingError, match="MEDIA_ERASER_DATABASE_URL"):
        tick(instance)


# Objects that can't be removed


def lock(album: Album, key: str, version: str) -> None:
    """The bucket gets Object Lock, and holds one version."""
    configuration = {"ObjectLockEnabled": "Enabled"}
    album.s3.put_object_lock_configuration(Bucket=album.bucket, ObjectLockConfiguration=configuration)  # type: ignore[arg-type]
    album.s3.put_object_retention(
        Bucket=album.bucket,
        Key=key,
        VersionId=version,
        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(hours=1)},
    )


def test_one_that_s3_holds_on_to_is_tried_again_and_keeps_nobody_waiting(
    album: Album, instance: DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    cat, dog = album.upload(), album.upload("uploads/ada/dog.jpg")
    version = album.s3.list_object_versions(Bucket=album.bucket, Prefix=KEY)["Versions"][0]["VersionId"]
    lock(album, KEY, version)
    for item in (cat, dog):
        album.eraser.erase(album.eraser.find(str(item)), reason="a test")
    with pytest.raises(SweepError, match=f"item {cat}: S3 removed all but 1 of 1 object versions: AccessDenied 1"):
        album.eraser.sweep(cat)

    assert tick(instance) == "1 sweeps done, 1 put off"
    logged = capfd.readouterr().err
    assert "AccessDenied" in logged
    assert "cat.jpg" not in logged
    assert album.objects() == [KEY]
    assert tick(instance) == "no sweep is due"

    album.s3.delete_object(Bucket=album.bucket, Key=KEY, VersionId=version, BypassGovernanceRetention=True)
    later = sweep_due(
        album.eraser.log, album.s3, album.bucket, budget_seconds=10, now=lambda: datetime.now(UTC) + timedelta(minutes=2)
    )
    assert (later.items, later.errors) == ([cat], [])


def test_a_bucket_that_is_gone_is_an_error_that_names_no_key(album: Album) -> None:
    cat = album.upload()
    album.eraser.erase(album.eraser.find(KEY), reason="a test")
    for version in album.s3.list_object_versions(Bucket=album.bucket)["Versions"]:
        album.s3.delete_object(Bucket=album.bucket, Key=version["Key"], VersionId=version["VersionId"])
    album.s3.delete_bucket(Bucket=album.bucket)
    with pytest.raises(SweepError, match=f"item {cat}: S3 answered NoSuchBucket"):
        album.eraser.sweep(cat)


def test_versions_are_removed_by_the_thousand(album: Album) -> None:
    sizes: list[int] = []
    album.s3.meta.events.register(
        "provide-client-params.s3.DeleteObjects", lambda params, **_: sizes.append(len(params["Delete"]["Objects"]))
    )
    gone = [ObjectVersion(f"derived/x/{number}", "v1", True, False) for number in range(2001)]
    remove(album.s3, album.bucket, gone)
    assert sizes == [1000, 1000, 1]


def test_a_listing_of_several_pages(album: Album) -> None:
    cat = album.gallery.done("cat.jpg")
    longer = [f"{KEY}.{number}" for number in range(5)]
    for key in longer:
        album.put(key)
    for _ in range(5):
        album.put()
    album.s3.delete_object(Bucket=album.bucket, Key=KEY)
    listed: list[str] = []

    def two_a_page(params: dict[str, Any], **_: Any) -> None:
        listed.append(params["Prefix"])
        params["MaxKeys"] = 2

    album.s3.meta.events.register("provide-client-params.s3.ListObjectVersions", two_a_page)
    removed = album.erase().removed
    assert (removed["object_versions"], removed["derived_objects"]) == (7, 3)
    assert listed.count(KEY) == 5 + 4  # of 6 pages, to hear of its versions and to remove them: not on through longer keys
    assert album.nothing_is_left_of(cat)
    assert album.objects() == longer


def test_a_sweep_that_comes_second_waits_and_counts_nothing_away(album: Album) -> None:
    cat = album.gallery.done("cat.jpg")
    album.eraser.erase(album.eraser.find(KEY), reason="a test")
    second = threading.Thread(target=album.eraser.sweep, args=[cat])

    def begin_the_second(**_: Any) -> None:
        if not second.ident:
            second.start()
            second.join(timeout=0.7)  # as long as it would take
            assert second.is_alive()

    album.s3.meta.events.register("before-call.s3.ListObjectVersions", begin_the_second)
    first = album.eraser.sweep(cat)
    second.join()
    assert (first.removed["object_versions"], first.removed["derived_objects"]) == (1, 3)
    assert album.eraser.sweep(cat) == first
