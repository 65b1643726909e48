"""Guarantee 8, the part that outlives the database: anchors under Object Lock, and a log that has to agree with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from sqlalchemy import Engine

from media_assets.anchors.bucket import Anchor, AnchorBucket
from media_assets.anchors.proof import LogBrokenError, anchor_log, prove, write_anchor
from media_assets.eventlog.verify import Broken, Verified
from tests.conftest import Database
from tests.unit.anchors.locked import locked_bucket
from tests.unit.eventlog.lives import Life
from tests.unit.eventlog.tampering import RECOMPUTE_HASHES, deletion, tampered

CAT, DOG = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")
NOW = datetime(2026, 7, 1, 13, 5, tzinfo=UTC)


@pytest.fixture
def s3(aws: str) -> Any:
    return boto3.client("s3")


@pytest.fixture
def name(s3: Any) -> str:
    return locked_bucket(s3)


@pytest.fixture
def bucket(s3: Any, name: str) -> AnchorBucket:
    return AnchorBucket(s3, name)


@pytest.fixture
def engine(database: Database) -> Engine:
    """Of the application's role."""
    return database.store.engine


@pytest.fixture
def anchored(database: Database, engine: Engine, bucket: AnchorBucket) -> list[Anchor]:
    """A log of twelve events with anchors at 6 (the cat's last) and 12 (the dog's)."""
    anchors = []
    for life in (CAT, DOG):
        database.store.append(life.done())
        _, anchor = anchor_log(engine, bucket, "local", NOW)
        assert anchor is not None
        anchors.append(anchor)
    return anchors


def key(position: int) -> str:
    return f"anchors/{position:020}.json"


def test_an_anchor_says_which_hash_the_log_had_at_its_head(
    database: Database, bucket: AnchorBucket, anchored: list[Anchor], s3: Any, name: str
) -> None:
    events = {event.position: event for event in database.store.since(0)}
    assert [anchor.position for anchor in anchored] == [6, 12]
    for anchor in anchored:
        event = events[anchor.position]
        assert anchor == Anchor(
            position=event.position,
            hash=event.hash.hex(),
            event_id=event.event_id,
            recorded_at=event.recorded_at,
            anchored_at=NOW,
            stage="local",
        )
    assert bucket.read().known == tuple(anchored)
    assert bucket.newest_position() == 12
    body = s3.get_object(Bucket=name, Key="anchors/00000000000000000006.json")["Body"].read()
    assert Anchor.model_validate_json(body) == anchored[0]


def test_an_untouched_log_agrees_with_its_anchors(engine: Engine, bucket: AnchorBucket, anchored: list[Anchor]) -> None:
    proof = prove(engine, bucket)
    assert isinstance(proof.chain, Verified)
    assert (proof.chain.events, proof.chain.anchors, proof.is_intact) == (12, 2, True)
    since = prove(engine, bucket, since=6)
    assert isinstance(since.chain, Verified)
    assert (since.chain.events, since.chain.anchors) == (6, 2)


def test_without_anything_new_there_is_no_new_anchor(
    database: Database, engine: Engine, bucket: AnchorBucket, anchored: list[Anchor]
) -> None:
    assert anchor_log(engine, bucket, "local", NOW)[1] is None
    assert len(bucket.read().known) == 2
    database.store.append([CAT.reprocess("probe")])
    assert [anchor.position for anchor in (anchor_log(engine, bucket, "local", NOW)[1],) if anchor] == [13]


def test_an_empty_log_is_not_anchored(engine: Engine, bucket: AnchorBucket) -> None:
    assert anchor_log(engine, bucket, "local", NOW)[1] is None
    assert bucket.read().known == ()


def test_two_that_anchor_at_once_write_one_anchor(database: Database, engine: Engine, bucket: AnchorBucket) -> None:
    database.store.append(CAT.done())
    proof = prove(engine, bucket)
    first = write_anchor(engine, bucket, proof, "local", NOW)
    assert first is not None
    assert bucket.write(first.model_copy(update={"anchored_at": NOW + timedelta(seconds=1)})) is False
    assert write_anchor(engine, bucket, proof, "local", NOW) is None
    assert bucket.read().known == (first,)
    assert bucket.read().evidence == ()


def test_hashes_that_were_computed_anew_are_caught(
    database: Database, engine: Engine, bucket: AnchorBucket, anchored: list[Anchor]
) -> None:
    tampered(database, "UPDATE events SET user_id = 'eve' WHERE position = 7", RECOMPUTE_HASHES)
    assert prove(engine, None).is_intact
    chain = prove(engine, bucket).chain
    assert isinstance(chain, Broken)
    assert (chain.position, chain.stream_id, chain.version) == (12, DOG.stream_id, 6)
    assert f"an anchor says {anchored[1].hash}" in chain.reason


def test_a_cut_tail_is_caught(database: Database, engine: Engine, bucket: AnchorBucket, anchored: list[Anchor]) -> None:
    tampered(database, *deletion("position > 8"))
    chain = prove(engine, bucket).chain
    assert isinstance(chain, Broken)
    assert (chain.position, chain.stream_id) == (9, None)
    assert "the log ends at position 8, an anchor knows an event at 12" in chain.reason


@pytest.mark.parametrize(
    ("tampering", "position"),
    [
        (["UPDATE events SET user_id = 'eve' WHERE position = 14"], 14),
        (deletion("position > 8"), 9),
        (["UPDATE events SET user_id = 'eve' WHERE position = 3", RECOMPUTE_HASHES], 12),
    ],
    ids=["after the last anchor", "a cut tail", "before the last anchor"],
)
def test_a_broken_log_is_not_anchored(
    database: Database,
    engine: Engine,
    bucket: AnchorBucket,
    anchored: list[Anchor],
    tampering: Sequence[str],
    position: int,
) -> None:
    database.store.append([CAT.reprocess("probe"), DOG.reprocess("probe"), DOG.reprocess("embed")])
    tampered(database, *tampering)
    with pytest.raises(LogBrokenError, match=f"the log is broken at position {position}.*nothing was anchored"):
        anchor_log(engine, bucket, "local", NOW)
    assert bucket.read().known == tuple(anchored)


def test_nobody_deletes_what_an_anchor_says(bucket: AnchorBucket, anchored: list[Anchor], s3: Any, name: str) -> None:
    [version] = s3.list_object_versions(Bucket=name, Prefix=key(6))["Versions"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=name, Key=key(6), VersionId=version["VersionId"])
    assert bucket.read().known == tuple(anchored)


def test_an_anchor_under_a_delete_marker_counts_and_the_marker_is_told(
    engine: Engine, bucket: AnchorBucket, anchored: list[Anchor], s3: Any, name: str
) -> None:
    s3.delete_object(Bucket=name, Key=key(6))
    read = bucket.read()
    assert read.known == tuple(anchored)
    [sign] = read.evidence
    assert sign.startswith(f"{key(6)} was deleted at ")
    proof = prove(engine, bucket)
    assert isinstance(proof.chain, Verified)
    assert not proof.is_intact


def test_an_anchor_that_was_overwritten_says_what_it_said_first(
    database: Database, engine: Engine, bucket: AnchorBucket, anchored: list[Anchor], s3: Any, name: str
) -> None:
    """The thorough way: change the log, compute every hash anew, and write an anchor that agrees."""
    tampered(database, "UPDATE events SET user_id = 'eve' WHERE position = 7", RECOMPUTE_HASHES)
    now = database.store.since(9)[0].hash.hex()
    forged = anchored[1].model_copy(update={"hash": now}).model_dump_json().encode()
    s3.put_object(Bucket=name, Key=key(12), Body=forged)
    s3.delete_object(Bucket=name, Key=key(12))
    s3.put_object(Bucket=name, Key=key(12), Body=forged, IfNoneMatch="*")
    proof = prove(engine, bucket)
    assert isinstance(proof.chain, Broken)
    assert (proof.chain.position, proof.chain.stream_id) == (12, DOG.stream_id)
    assert f"an anchor says {anchored[1].hash}" in proof.chain.reason
    overwritten, again, deleted = proof.evidence
    assert overwritten.startswith(f"{key(12)} was overwritten with something else at ")
    assert again.startswith(f"{key(12)} was overwritten with something else at ")
    assert deleted.startswith(f"{key(12)} was deleted at ")


def test_an_anchor_that_was_written_again_as_it_was_shows_nothing(
    bucket: AnchorBucket, anchored: list[Anchor], s3: Any, name: str
) -> None:
    s3.put_object(Bucket=name, Key=key(6), Body=anchored[0].model_dump_json().encode())
    assert bucket.read().evidence == ()


def test_an_anchor_that_is_gone_altogether_leaves_its_marker(
    bucket: AnchorBucket, anchored: list[Anchor], s3: Any, name: str
) -> None:
    """By somebody who may bypass a GOVERNANCE lock."""
    [version] = s3.list_object_versions(Bucket=name, Prefix=key(6))["Versions"]
    s3.delete_object(Bucket=name, Key=key(6))
    s3.delete_object(Bucket=name, Key=key(6), VersionId=version["VersionId"], BypassGovernanceRetention=True)
    read = bucket.read()
    assert read.known == (anchored[1],)
    [sign] = read.evidence
    assert sign.endswith("; no version of it is left")


@pytest.mark.parametrize(
    ("written", "body"),
    [
        (key(7), b"not JSON"),
        (key(7), b'{"position": 7}'),
        ("anchors/7.json", b"{}"),
        ("anchors/", b""),
    ],
)
def test_what_is_no_anchor_is_told_and_stops_nothing(
    database: Database, engine: Engine, bucket: AnchorBucket, s3: Any, name: str, written: str, body: bytes
) -> None:
    database.store.append(CAT.done())
    s3.put_object(Bucket=name, Key=written, Body=body)
    proof = prove(engine, bucket)
    assert isinstance(proof.chain, Verified)
    assert proof.evidence == (f"{written} is no anchor; whoever wrote it was not us",)


def test_an_anchor_under_the_key_of_another_one_is_none(
    bucket: AnchorBucket, anchored: list[Anchor], s3: Any, name: str
) -> None:
    s3.put_object(Bucket=name, Key=key(7), Body=anchored[0].model_dump_json().encode())
    read = bucket.read()
    assert read.known == tuple(anchored)
    assert read.evidence == (f"{key(7)} is no anchor; whoever wrote it was not us",)


def test_tampering_with_anchors_does_not_stop_anchoring(
    database: Database, engine: Engine, bucket: AnchorBucket, anchored: list[Anchor], s3: Any, name: str
) -> None:
    s3.delete_object(Bucket=name, Key=key(12))
    database.store.append([CAT.reprocess("probe")])
    proof, anchor = anchor_log(engine, bucket, "local", NOW)
    assert len(proof.evidence) == 1
    assert anchor is not None
    assert anchor.position == 13
