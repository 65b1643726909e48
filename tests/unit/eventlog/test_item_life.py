"""What `items` and `steps` say of an item, from its upload to its removal, in whatever happens between."""

from __future__ import annotations

from datetime import timedelta

from media_assets.eventlog.store import EventStore
from tests.unit.eventlog.lives import NOON, Life, item, rows, step, steps

cat = Life()


def state(store: EventStore) -> str:
    return str(item(store, cat)["state"])


def thumbnail_keys(store: EventStore) -> list[str]:
    found = rows(store, "SELECT t.key FROM items JOIN thumbnails t USING (item_id, version_id) ORDER BY t.size")
    return [row["key"] for row in found]


def labels(store: EventStore) -> list[str]:
    return [row["label"] for row in rows(store, "SELECT label FROM detections ORDER BY version_id, ordinal")]


def test_received_processing_done(store: EventStore) -> None:
    store.append([cat.upload()])
    assert (state(store), steps(store, cat)) == ("received", {"probe": "pending"})

    store.append([cat.probed()])
    assert (state(store), steps(store, cat)) == ("processing", {"probe": "done", "thumbnail": "pending"})
    assert {name: item(store, cat)[name] for name in ("kind", "format", "width", "height", "orientation")} == {
        "kind": "image",
        "format": "jpeg",
        "width": 40,
        "height": 30,
        "orientation": 1,
    }

    store.append([cat.thumbnails(), cat.analysis()])
    assert state(store) == "processing"
    store.append([cat.embedding()])
    assert (state(store), step(store, cat, "detect")["state"]) == ("processing", "pending")
    store.append([cat.detections(labels=[])])
    assert (state(store), set(steps(store, cat).values())) == ("done", {"done"})
    done = step(store, cat, "thumbnail")
    assert (done["recipe"], done["run_id"], done["finished_at"]) == ("r1", "run-1", NOON)


def test_rejected_by_the_probe(store: EventStore) -> None:
    store.append([cat.upload(), cat.rejected(code="truncated")])
    row = item(store, cat)
    assert (row["state"], row["rejection_code"], row["rejection_message"]) == ("rejected", "truncated", "it is truncated")
    assert steps(store, cat) == {"probe": "rejected"}


def test_rejected_by_the_thumbnail_and_taken_back_when_a_later_attempt_decodes_it(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed(), cat.rejected(step="thumbnail")])
    assert (state(store), steps(store, cat)) == ("rejected", {"probe": "done", "thumbnail": "rejected"})

    store.append([cat.reprocess("thumbnail")])
    assert (state(store), steps(store, cat)) == ("processing", {"probe": "done", "thumbnail": "pending"})
    store.append([cat.thumbnails(generation=1), cat.detections(), cat.analysis(), cat.embedding()])
    assert (state(store), item(store, cat)["rejection_code"]) == ("done", None)


def test_failures_add_up_and_wait_until_the_step_is_given_up(store: EventStore) -> None:
    later = NOON + timedelta(seconds=10)
    store.append([cat.upload(), cat.failed("probe", attempt="a1", retry_at=later)])
    failed = step(store, cat, "probe")
    assert (failed["state"], failed["failures"], failed["retry_at"], failed["error_code"]) == ("pending", 1, later, "timeout")
    assert state(store) == "received"

    store.append([cat.failed("probe", attempt="a2"), cat.abandoned("probe")])
    dead = step(store, cat, "probe")
    assert (dead["state"], dead["failures"], dead["retry_at"], dead["error_message"]) == ("dead", 2, None, "crashed, given up")
    assert state(store) == "failed"

    store.append([cat.reprocess("probe")])
    again = step(store, cat, "probe")
    assert (again["state"], again["failures"], again["generation"], again["recomputation"]) == ("pending", 0, 1, True)
    store.append([cat.probed(generation=1)])
    assert state(store) == "processing"


def test_a_step_that_succeeds_after_failures_shows_no_error(store: EventStore) -> None:
    store.append([cat.upload(), cat.failed("probe", retry_at=NOON), cat.probed()])
    done = step(store, cat, "probe")
    assert (done["state"], done["failures"]) == ("done", 1)
    assert done["error_code"] is done["error_message"] is done["retry_at"] is None


def test_a_new_version_starts_over_and_hides_what_belongs_to_the_old_one(store: EventStore) -> None:
    store.append(cat.done())
    store.append([cat.upload("v2", at=NOON + timedelta(hours=2))])
    assert (state(store), steps(store, cat)) == ("received", {"probe": "pending"})
    assert item(store, cat)["hour"] == NOON.replace(hour=14, minute=0)
    assert thumbnail_keys(store) == []
    for table in ("detections", "analyses", "embeddings"):
        assert rows(store, f"SELECT * FROM items JOIN {table} USING (item_id, version_id)") == []

    store.append(cat.processed("v2"))
    assert state(store) == "done"
    assert thumbnail_keys(store) == ["derived/v2/r1/0/256.webp", "derived/v2/r1/0/800.webp"]


def test_a_late_outcome_of_an_old_version_changes_nothing_of_the_item(store: EventStore) -> None:
    store.append([cat.upload("v1"), cat.upload("v2"), cat.probed("v2", width=99)])
    before = item(store, cat), rows(store, "SELECT * FROM steps ORDER BY step")
    late = [cat.probed("v1"), cat.failed("thumbnail", "v1"), cat.abandoned("thumbnail", "v1"), cat.thumbnails("v1")]
    for event in [*late, cat.rejected("v1", recipe="r2"), cat.upload("v0", sequencer="00")]:
        store.append([event])
        assert (item(store, cat), rows(store, "SELECT * FROM steps ORDER BY step")) == before


def test_a_removed_version_uncovers_the_one_before_and_the_last_one_leaves_the_item_removed(store: EventStore) -> None:
    store.append([*cat.done("v1"), cat.upload("v2"), cat.probed("v2")])
    store.append([cat.removed("v2")])
    assert (item(store, cat)["version_id"], state(store)) == ("v1", "done")
    assert len(thumbnail_keys(store)) == 2

    store.append([cat.removed("v1")])
    assert (state(store), steps(store, cat)) == ("removed", {})

    store.append([cat.thumbnails("v1", generation=3)])
    assert (state(store), steps(store, cat)) == ("removed", {})
    store.append([cat.upload("v3")])
    assert (state(store), steps(store, cat)) == ("received", {"probe": "pending"})


def test_reprocessing_keeps_the_old_result_on_show_until_the_new_one_is_there(store: EventStore) -> None:
    store.append(cat.done())
    store.append([cat.reprocess("thumbnail")])
    assert state(store) == "processing"
    assert step(store, cat, "thumbnail")["generation"] == 1
    assert thumbnail_keys(store) == ["derived/v1/r1/0/256.webp", "derived/v1/r1/0/800.webp"]
    assert "analyze" not in steps(store, cat)  # it isn't due while what it reads is being made

    store.append([cat.thumbnails(generation=1, recipe="r2", sizes=[256])])
    assert thumbnail_keys(store) == ["derived/v1/r2/1/256.webp"]  # whole: no size of the old result is left over
    assert state(store) == "done"


def test_fewer_detections_take_the_place_of_more(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.detections(labels=["cat", "dog", "sofa"])])
    store.append([cat.reprocess("detect")])
    assert labels(store) == ["cat", "dog", "sofa"]
    store.append([cat.detections(labels=["owl"], generation=1)])
    assert labels(store) == ["owl"]
    [row] = rows(store, "SELECT * FROM detections")
    assert (row["ordinal"], row["generation"], row["model"], row["confidence"]) == (1, 1, "boxes", 0.875)
    assert [row[name] for name in ("x", "y", "width", "height")] == [0, 1, 20, 10]


def test_that_nothing_was_found_is_a_result_that_nothing_older_and_no_second_one_replaces(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.detections(labels=["cat", "dog"]), cat.reprocess("detect")])
    store.append([cat.detections(labels=[], generation=1)])
    assert (labels(store), steps(store, cat)["detect"]) == ([], "done")
    for late in (cat.detections(labels=["old"], recipe="r9"), cat.detections(labels=["other"], generation=1, recipe="r9")):
        store.append([late])
        assert labels(store) == []


def test_a_rejection_takes_no_detections_away_and_the_result_that_it_excludes_neither(store: EventStore) -> None:
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), cat.reprocess("detect")])
    store.append([cat.rejected(step="detect", generation=1), cat.detections(labels=["cat"])])
    assert labels(store) == ["cat"]
    store.append([cat.detections(labels=["dog"], generation=1, recipe="r2")])
    assert labels(store) == ["cat"]


def test_a_result_of_an_old_generation_does_not_satisfy_a_request(store: EventStore) -> None:
    store.append([cat.upload(), cat.reprocess("probe"), cat.probed()])
    assert (step(store, cat, "probe")["state"], state(store)) == ("pending", "processing")
    store.append([cat.probed(generation=1, width=50)])
    assert (step(store, cat, "probe")["state"], item(store, cat)["width"]) == ("done", 50)


def test_a_late_outcome_of_an_old_generation_takes_nothing_back(store: EventStore) -> None:
    """A run with an expired lease may report when the result that replaces its own is there already."""
    steps_there_are = ("probe", "thumbnail", "detect", "analyze", "embed")
    store.append([cat.upload(), cat.probed(), *[cat.reprocess(name) for name in steps_there_are]])
    store.append(cat.processed(generation=1, recipe="r2"))
    before = item(store, cat), rows(store, "SELECT * FROM steps ORDER BY step"), thumbnail_keys(store)
    assert before[0]["state"] == "done"

    for event in [
        cat.probed(width=7, recipe="r0"),
        cat.rejected(recipe="r9"),
        cat.rejected(step="thumbnail"),
        cat.thumbnails(sizes=[64], recipe="r9"),
        cat.detections(labels=["old"], recipe="r9"),
        cat.analysis(summary="Old.", recipe="r9"),
        cat.embedding(recipe="r9"),
    ]:
        store.append([event])
        assert (item(store, cat), rows(store, "SELECT * FROM steps ORDER BY step"), thumbnail_keys(store)) == before
    assert [row["summary"] for row in rows(store, "SELECT summary FROM analyses")] == ["A cat."]
    assert labels(store) == ["cat"]


def test_of_two_results_of_one_generation_the_first_one_stored_counts(store: EventStore) -> None:
    """Two deployments with different recipes may compute one item; what was shown first stays."""
    store.append(cat.done())
    before = item(store, cat), rows(store, "SELECT * FROM steps ORDER BY step"), thumbnail_keys(store)
    store.append([cat.probed(width=7, recipe="r2"), cat.thumbnails(sizes=[64, 256], recipe="r2")])
    store.append([cat.analysis(summary="Other.", recipe="r2"), cat.rejected(recipe="r2")])
    assert (item(store, cat), rows(store, "SELECT * FROM steps ORDER BY step"), thumbnail_keys(store)) == before
    assert [row["summary"] for row in rows(store, "SELECT summary FROM analyses")] == ["A cat."]


def test_a_new_version_of_an_item_that_was_reprocessed_is_no_recomputation(store: EventStore) -> None:
    """It waits for a result of the requested generation, and is a new upload like any other."""
    store.append([*cat.done(), cat.reprocess("probe"), cat.upload("v2")])
    waiting = step(store, cat, "probe")
    assert (waiting["version_id"], waiting["generation"], waiting["recomputation"]) == ("v2", 1, False)
