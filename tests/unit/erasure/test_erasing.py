"""Erasing an item removes everything of it and nothing else, and says what it removed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from lambdas.runtime.contract import Manifest, StepRequest
from media_assets.dispatch.drain import drain
from media_assets.dispatch.targets import Targets
from media_assets.erasure.sweep import sweep_due
from media_assets.eventlog.chain import GENESIS, event_bytes, link
from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.events import item_id_of
from media_assets.eventlog.items import ItemErasedError, ItemNotFoundError, describe, resolve
from media_assets.eventlog.replay import verify_replay
from media_assets.eventlog.store import EventStore
from media_assets.settings import get_settings
from tests.conftest import Database
from tests.unit.defs.gallery import HOUR
from tests.unit.defs.owner import as_owner
from tests.unit.dispatch.works import PROBE, FunctionTarget, answer_to
from tests.unit.erasure.conftest import KEY, Album
from tests.unit.eventlog.lives import Life, rows


def test_everything_of_an_item_goes_and_nothing_else(album: Album) -> None:
    cat, dog = album.gallery.done("cat.jpg"), album.gallery.done("cat.jpg.png")
    album.gallery.failed(cat, "probe", retry_at=datetime.now(UTC))
    album.put(KEY, b"a version that the log hasn't heard of")
    album.s3.delete_object(Bucket=album.bucket, Key=KEY)  # a marker in front of both
    sheet, of_dog = album.show(cat, dog), album.show(dog)
    dogs = (album.rows_of(dog), album.objects(f"derived/{dog}/"))

    erasure = album.erase()

    assert album.nothing_is_left_of(cat)
    assert set(album.objects("uploads/")) == {"uploads/ada/cat.jpg.png"}
    assert album.objects("previews/") == [of_dog] != [sheet]
    assert (album.rows_of(dog), album.objects(f"derived/{dog}/")) == dogs
    assert erasure.removed == {
        "payloads": 8,  # two uploads, five results, a failure
        "rows": {
            "uploads": 2,
            "step_results": 5,
            "step_failures": 1,
            "requested_generations": 0,
            "thumbnails": 3,
            "detections": 1,
            "analyses": 1,
            "embeddings": 1,
            "segments": 0,
            "jobs": 0,
            "steps": erasure.removed["rows"]["steps"],
            "items": 1,
        },
        "vectors": 1,
        "object_versions": 3,
        "derived_objects": 3,
        "contact_sheets": 1,
    }
    assert (erasure.complete, erasure.sweep_at) == (False, erasure.erased_at + album.in_flight)


def test_the_second_sweep_takes_what_was_written_meanwhile_and_forgets_the_key(album: Album) -> None:
    cat = album.gallery.done("cat.jpg")
    first = album.erase()
    late, sheet = f"derived/{cat}/embed/cafe/v1/0/result.json", album.show(cat)
    album.put(late)

    assert album.eraser.sweep(cat) == first  # not due yet
    assert album.objects(late) == [late]
    last = album.second_sweep(cat)

    assert album.objects() == []
    assert rows(album.store, "SELECT * FROM contact_sheets WHERE key = :key", key=sheet) == []
    assert (last.bucket, last.key, last.sweep_at, last.complete) == (None, None, None, True)
    assert {**last.removed, "derived_objects": 3, "contact_sheets": 0} == first.removed
    assert (last.removed["derived_objects"], last.removed["contact_sheets"]) == (4, 1)
    assert KEY not in str(last.receipt())
    assert last.receipt()["second_sweep_at"] is None


def test_a_sheet_that_is_being_stored_during_the_first_sweep_goes_with_the_second(album: Album) -> None:
    cat = album.gallery.done("cat.jpg")
    sheet = album.show(cat)  # its row comes before its object
    album.erase()
    album.put(sheet)
    album.second_sweep(cat)
    assert album.objects() == []


def test_late_outcomes_are_refused(album: Album, store: EventStore) -> None:
    cat = album.gallery.upload("cat.jpg")
    album.erase()
    before = store.head()
    with pytest.raises(StreamClosedError) as refused:
        album.gallery.probed(cat)
    assert refused.value.stream_ids == {f"item-{cat}"}
    assert store.head() == before


def test_a_second_erasure_finds_nothing_and_says_when_the_first_was(album: Album) -> None:
    cat = album.gallery.done("cat.jpg")
    first = album.erase()
    head = album.store.head()
    for reference in (str(cat), KEY, f"s3://{album.bucket}/{KEY}"):
        target = album.eraser.find(reference)
        assert (target.item_id, target.address) == (cat, None)
        assert album.eraser.erase(target, reason="again") == (first, False)
    assert album.store.head() == head


def test_what_never_was_cannot_be_erased(album: Album) -> None:
    album.upload()
    for unknown in (str(uuid.uuid4()), "uploads/ada/cow.jpg", "uploads/ada/cat", f"s3://{album.bucket}/derived/x", "x", ""):
        with pytest.raises(ItemNotFoundError):
            album.eraser.find(unknown)


def test_two_who_erase_at_once_erase_once(album: Album) -> None:
    cat = album.upload()
    target = album.eraser.find(KEY)  # both have looked before either erased
    first, new = album.eraser.erase(target, reason="one")
    assert (album.eraser.erase(target, reason="the other"), new) == ((first, False), True)
    assert [event.type for event in album.store.stream(f"item-{cat}")] == ["UploadReceived", "ItemErased"]


@pytest.mark.parametrize("name", ["été 日本 🐈.jpg", "a%2Bb+c & <d>.jpg", "line\nbreak.jpg"])
def test_any_key_can_be_erased(album: Album, name: str) -> None:
    key = f"uploads/ada/{name}"
    item = album.upload(key)
    album.upload(f"{key}.2")
    album.erase(key)
    assert album.nothing_is_left_of(item, key)
    assert album.objects("uploads/") == [f"{key}.2"]


def test_what_is_said_of_an_erased_item(album: Album) -> None:
    cat = album.gallery.done("cat.jpg")
    erasure = album.erase()
    with album.store.engine.connect() as connection:
        for asks in (lambda: resolve(connection, str(cat)), lambda: describe(connection, cat)):
            with pytest.raises(ItemErasedError, match="was erased at") as told:
                asks()
            assert (told.value.item_id, told.value.erased_at) == (cat, erasure.erased_at)
    history = album.store.stream(f"item-{cat}")
    assert [event.payload.type for event in history] == ["PayloadErased"] * 6 + ["ItemErased"]
    assert history[-1].correlation_id == history[0].event_id
    assert sum(event.milliseconds for event in history) > 0  # what it cost stays


def test_replay_and_chain_agree_after_erasures(album: Album, database: Database) -> None:
    for name in ("cat.jpg", "dog.jpg"):
        album.gallery.failed(album.gallery.done(name), "probe", retry_at=None)
    album.erase()
    album.gallery.upload("cow.jpg")
    album.upload()

    assert verify_replay(database.owner_url).identical
    last = GENESIS
    for row in rows(album.store, "SELECT * FROM events ORDER BY position"):
        last = link(last, event_bytes(row))
        assert row["hash"] == last


def test_what_waits_for_its_turn_is_not_sent_once_it_is_erased(album: Album) -> None:
    cat, dog, cow = (album.upload(f"uploads/ada/{name}.jpg") for name in ("cat", "dog", "cow"))
    asked: list[str] = []

    def invoke(request: StepRequest) -> Manifest:
        asked.extend(item.item_id for item in request.items)
        if asked == [str(cat)]:
            album.erase(str(cat))
            album.erase(str(dog))
        return answer_to(request)

    settings = get_settings().model_copy(update={"batch_max_items": 1, "dispatch_threads": 1})
    targets: Targets = {"lambda": FunctionTarget(invoke)}
    [tally] = drain(PROBE, [HOUR], store=album.store, settings=settings, targets=targets, run_id="run").values()

    assert asked == [str(cat), str(cow)]
    assert (tally.processed, tally.erased) == (1, 2)
    assert [album.rows_of(item).get("claims", 0) for item in (cat, dog, cow)] == [0, 0, 0]
    assert [event.type for event in album.store.stream(f"item-{dog}")] == ["UploadReceived", "ItemErased"]


def test_claims_of_an_erased_item_are_gone(album: Album) -> None:
    cat = album.upload()
    with album.store.engine.begin() as connection:
        connection.execute(
            text("""INSERT INTO claims (item_id, step, user_id, claim_id, lease_expires_at)
                    VALUES (:id, 'probe', 'ada', gen_random_uuid(), now())"""),
            {"id": cat},
        )
    album.erase()
    assert album.rows_of(cat) == {}


# A user's


def test_everything_of_a_user(album: Album) -> None:
    kept = album.upload("uploads/bob/cat.jpg")
    keys = [f"uploads/ada/{name}.jpg" for name in ("a", "b", "c")]
    items = [album.upload(key) for key in keys[:2]]
    for key in (keys[0], keys[2], "uploads/adam/dog.jpg"):
        album.put(key, b"unheard of")
    album.s3.delete_object(Bucket=album.bucket, Key=keys[2])

    album.eraser.hear_of_user("ada")
    targets = album.eraser.of_user("ada")
    for target in targets:
        album.eraser.sweep(album.eraser.erase(target, reason="a request")[0].item_id)

    assert [target.item_id for target in targets] == [*items, item_id_of(album.bucket, keys[2])]
    assert sorted(album.objects()) == ["uploads/adam/dog.jpg", "uploads/bob/cat.jpg"]
    assert album.eraser.of_user("ada") == []
    assert album.rows_of(kept)["items"] == 1


# Roles


def refused(store: EventStore, statement: str, **parameters: Any) -> str:
    with pytest.raises(DBAPIError) as error, store.engine.begin() as connection:
        connection.execute(text(statement), parameters)
    return str(getattr(error.value.orig, "sqlstate", None))


def test_only_the_eraser_may_erase_and_it_may_do_nothing_else(album: Album, database: Database) -> None:
    album.upload()
    forbidden = "42501"
    app, log = database.store, album.eraser.log
    assert refused(app, "SELECT erase_items('[]')") == forbidden
    for change in ("INSERT INTO erasures SELECT * FROM erasures", "UPDATE erasures SET key = ''", "DELETE FROM erasures"):
        assert refused(app, change) == forbidden
    with pytest.raises(DBAPIError, match="permission denied"):
        log.append([Life().upload()])
    for change in (
        "DELETE FROM event_payloads",
        "DELETE FROM events",
        "UPDATE items SET user_id = 'eve'",
        "DELETE FROM items",
        "DELETE FROM claims",
        "DELETE FROM erasures",
        "SELECT append_batch('[]')",
    ):
        assert refused(log, change) == forbidden, change


def test_payloads_of_what_lives_cannot_be_deleted_even_by_the_owner(album: Album, database: Database) -> None:
    album.upload()
    with pytest.raises(DBAPIError, match="append only"):
        as_owner(database, "DELETE FROM event_payloads")


# Rounds of sweeps


def test_a_round_does_what_is_due_in_order_and_no_more(album: Album) -> None:
    now = datetime.now(UTC)
    items = [album.upload(f"uploads/ada/{number}.jpg") for number in range(3)]
    for item in items:
        album.eraser.erase(album.eraser.find(str(item)), reason="a test")

    def round_at(later: timedelta) -> list[uuid.UUID]:
        swept = sweep_due(album.eraser.log, album.s3, album.bucket, budget_seconds=10, now=lambda: now + later)
        assert swept.errors == []
        return swept.items

    assert round_at(timedelta(seconds=5)) == items
    assert album.objects() == []
    assert round_at(timedelta(minutes=10)) == []
    assert round_at(album.in_flight + timedelta(seconds=5)) == items
    assert round_at(timedelta(days=1)) == []
    assert rows(album.store, "SELECT * FROM erasures WHERE key IS NOT NULL OR bucket IS NOT NULL") == []


def test_a_round_without_time_does_nothing(album: Album) -> None:
    album.upload()
    album.eraser.erase(album.eraser.find(KEY), reason="a test")
    assert sweep_due(album.eraser.log, album.s3, album.bucket, budget_seconds=0).items == []
