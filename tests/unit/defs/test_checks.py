"""Every asset check, where it passes and where it fails: against what an accident, a bug or an attacker leaves behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dagster import AssetCheckSeverity, AssetChecksDefinition, DagsterInstance
from PIL import Image

from media_assets.definitions import defs
from media_assets.defs.checks.analyses import analyses_match_schema
from media_assets.defs.checks.embeddings import embeddings_are_sound
from media_assets.defs.checks.media_info import media_info_is_complete
from media_assets.defs.checks.progress import progress_checks, stuck
from media_assets.defs.checks.scope import Scope
from media_assets.defs.checks.thumbnails import thumbnails_are_complete
from media_assets.defs.checks.uploads import bucket_and_log_agree, replay_equals_live
from tests.conftest import Database
from tests.unit.defs.conftest import evaluate, found
from tests.unit.defs.gallery import HOUR, Gallery, webp
from tests.unit.defs.owner import as_owner

ALL_CHECKS = [
    bucket_and_log_agree,
    replay_equals_live,
    media_info_is_complete,
    thumbnails_are_complete,
    analyses_match_schema,
    embeddings_are_sound,
    *progress_checks,
]
PROGRESS = dict(zip(("probe", "thumbnail", "analyze", "embed"), progress_checks, strict=True))


def name_of(check: AssetChecksDefinition) -> str:
    return next(iter(check.check_keys)).name


def test_these_are_all_the_checks_there_are() -> None:
    graph = defs.resolve_asset_graph()
    assert {key for check in ALL_CHECKS for key in check.check_keys} == set(graph.asset_check_keys)


@pytest.mark.parametrize("check", ALL_CHECKS, ids=name_of)
def test_nothing_uploaded_is_nothing_wrong(
    check: AssetChecksDefinition, gallery: Gallery, instance: DagsterInstance
) -> None:
    assert evaluate(check, instance).passed


def test_all_checks_pass_for_items_that_are_done_rejected_or_under_way(
    gallery: Gallery, instance: DagsterInstance
) -> None:
    gallery.done("a.jpg", direction=0)
    gallery.done("b.jpg", direction=1)
    gallery.rejected(gallery.upload("broken.jpg"))
    gallery.probed(gallery.upload("fresh.jpg"))
    gallery.failed(gallery.upload("waiting.jpg"), "probe", retry_at=datetime.now(UTC) + timedelta(minutes=1))
    result = defs.resolve_job_def("all_checks").execute_in_process(instance=instance)
    evaluations = {each.check_name: each for each in result.get_asset_check_evaluations()}
    assert evaluations.keys() == {name_of(check) for check in ALL_CHECKS}
    assert {name: found(each) for name, each in evaluations.items() if not each.passed} == {}
    checked = {name: each.metadata["checked"].value for name, each in evaluations.items() if "checked" in each.metadata}
    assert checked == {
        "media_info_is_complete": 4,
        "thumbnails_are_complete": 2,
        "analyses_match_schema": 2,
        "embeddings_are_sound": 2,
        "media_info_nothing_stuck": 5,
        "thumbnails_nothing_stuck": 3,
        "analyses_nothing_stuck": 2,
        "embeddings_nothing_stuck": 2,
    }


# uploads


def test_an_upload_that_the_log_missed_is_found(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload("known.jpg")
    gallery.s3.put_object(Bucket=gallery.bucket, Key="uploads/ada/missed.jpg", Body=b"x")
    evaluation = evaluate(bucket_and_log_agree, instance)
    assert not evaluation.passed
    figures = {name: value.value for name, value in evaluation.metadata.items()}
    assert figures == {"missing_in_log": 1, "missing_in_bucket": 0}


def test_an_object_that_left_the_bucket_is_found(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload("stays.jpg")
    gallery.upload("goes.jpg")
    gallery.s3.delete_object(Bucket=gallery.bucket, Key="uploads/ada/goes.jpg")
    evaluation = evaluate(bucket_and_log_agree, instance)
    assert not evaluation.passed
    assert evaluation.metadata["missing_in_bucket"].value == 1


@pytest.mark.parametrize(
    "corruption",
    [
        "UPDATE items SET state = 'done' WHERE state = 'processing'",
        "UPDATE analyses SET summary = 'A dog.'",
        "UPDATE embeddings SET embedding = (embedding::real[] || '{}')[1:7]::vector || '[0.5]'",
        "DELETE FROM thumbnails WHERE size = 256",
        "INSERT INTO requested_generations (item_id, step, user_id, generation) SELECT item_id, 'probe', user_id, 1 FROM items",
    ],
)
def test_a_read_model_that_somebody_touched_is_found(
    gallery: Gallery, database: Database, instance: DagsterInstance, corruption: str
) -> None:
    gallery.done("a.jpg")
    gallery.probed(gallery.upload("b.jpg"))
    assert as_owner(database, corruption) > 0
    evaluation = evaluate(replay_equals_live, instance)
    assert not evaluation.passed
    assert evaluation.metadata["live_digest"] != evaluation.metadata["replayed_digest"]


# media_info


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE items SET kind = NULL", "neither measured nor rejected"),
        ("UPDATE items SET width = 0", "neither measured nor rejected"),
        ("UPDATE items SET width = 20000, height = 20000", "20000x20000 accepted above 100000000 pixels"),
        ("UPDATE items SET rejection_code = 'timeout', rejection_message = 'm'", "rejected as 'timeout' without a known"),
        ("UPDATE items SET rejection_code = 'corrupt', rejection_message = NULL", "without a known reason"),
    ],
)
def test_what_probe_cant_have_measured_is_found(
    gallery: Gallery, database: Database, instance: DagsterInstance, damage: str, problem: str
) -> None:
    item = gallery.upload()
    gallery.probed(item)
    assert as_owner(database, damage) == 1
    evaluation = evaluate(media_info_is_complete, instance)
    assert not evaluation.passed
    assert evaluation.severity is AssetCheckSeverity.ERROR
    assert f"{item}: " in found(evaluation)
    assert problem in found(evaluation)


# thumbnails


def exif() -> bytes:
    private = Image.Exif()
    private[0x013B] = "Ada Secret"
    return private.tobytes()


# Each makes one wrong thumbnail of an item.
WRONG_THUMBNAILS: dict[str, tuple[Callable[[Gallery, uuid.UUID], Any], str]] = {
    "a size is missing": (lambda g, i: None, "no thumbnail of [256] px"),
    "an object is missing": (lambda g, i: g.thumbnail(i, 256, key="derived/nowhere.webp"), "is not in the bucket"),
    "other bytes than recorded": (lambda g, i: g.thumbnail(i, 256, sha256="0" * 64), "has other bytes than were recorded"),
    "no picture": (lambda g, i: g.thumbnail(i, 256, b"RIFF....WEBP"), "does not decode"),
    "half a picture": (lambda g, i: g.thumbnail(i, 256, webp(256, 171)[:-40]), "does not decode"),
    "another format": (lambda g, i: g.thumbnail(i, 256, b"\x89PNG\r\n\x1a\n" + b"\0" * 50), "does not decode"),
    "a camera owner's name": (lambda g, i: g.thumbnail(i, 256, webp(256, 171, exif=exif())), "private metadata: exif"),
    "a description": (lambda g, i: g.thumbnail(i, 256, webp(256, 171, xmp=b"<x:xmpmeta/>")), "private metadata: xmp"),
    "squeezed": (
        lambda g, i: g.thumbnail(i, 256, webp(256, 256), width=256, height=256), "not of the aspect ratio of 1200x800"
    ),
    "turned": (lambda g, i: g.thumbnail(i, 256, webp(171, 256), width=171, height=256), "not of the aspect ratio"),
    "larger than its size": (
        lambda g, i: g.thumbnail(i, 256, webp(300, 200), width=300, height=200), "larger than its size"
    ),
    "enlarged": (
        lambda g, i: g.thumbnail(i, 1600, webp(1500, 1000), width=1500, height=1000), "larger than its size or its original"
    ),
    "of other dimensions than recorded": (
        lambda g, i: g.thumbnail(i, 256, webp(128, 85)), "decodes to 128x85, recorded are 256x171"
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", WRONG_THUMBNAILS)
def test_a_thumbnail_that_isnt_right_is_found(gallery: Gallery, instance: DagsterInstance, fault: str) -> None:
    make, problem = WRONG_THUMBNAILS[fault]
    gallery.done("fine.jpg")
    item = gallery.upload()
    gallery.probed(item)
    wrong = make(gallery, item)
    gallery.thumbnailed(item, **{f"of_{wrong.size if wrong else 256}": wrong})
    evaluation = evaluate(thumbnails_are_complete, instance)
    assert not evaluation.passed
    assert evaluation.metadata["checked"].value == 2
    assert problem in found(evaluation)
    assert {line.split(":")[0] for line in found(evaluation).splitlines()} == {f"- {item}"}


def test_a_thumbnail_may_be_a_pixel_off_and_an_original_smaller_than_its_sizes(
    gallery: Gallery, instance: DagsterInstance
) -> None:
    item = gallery.upload()
    gallery.probed(item, width=301, height=1)
    thumbnails = {
        f"of_{size}": gallery.thumbnail(item, size, webp(width, 1), width=width, height=1)
        for size, width in ((256, 256), (800, 301), (1600, 301))
    }
    gallery.thumbnailed(item, **thumbnails)
    assert found(evaluate(thumbnails_are_complete, instance)) == ""


# analyses


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE analyses SET category = 'dragon'", "doesn't match the schema at category"),
        ("UPDATE analyses SET summary = ''", "doesn't match the schema at summary"),
        ("UPDATE analyses SET tags = '[\"\"]'", "doesn't match the schema at tags.0"),
        ("UPDATE analyses SET tags = '{}'", "doesn't match the schema at tags"),
        ("UPDATE analyses SET objects = jsonb_set(objects, '{0,confidence}', '1.5')", "schema at objects.0.confidence"),
        ("UPDATE analyses SET objects = objects #- '{0,caption}'", "schema at objects.0.caption"),
        ("UPDATE analyses SET dominant_colours = '[{\"hex\": \"red\", \"name\": \"red\", \"share\": 1}]'", "dominant_colours.0.hex"),
        ("UPDATE analyses SET objects = jsonb_set(objects, '{0,bounding_box,x}', '-1')", "objects.0.bounding_box.x"),
        ("UPDATE analyses SET objects = jsonb_set(objects, '{0,bounding_box,x}', '102')",
         "the box of object 0 leaves the 1200x800 picture"),
        ("UPDATE analyses SET objects = jsonb_set(objects, '{0,bounding_box,height}', '800')", "leaves the 1200x800 picture"),
        ("UPDATE analyses SET model = ''", "provider or model isn't recorded"),
    ],
)  # fmt: skip
def test_an_analysis_that_isnt_one_is_found(
    gallery: Gallery, database: Database, instance: DagsterInstance, damage: str, problem: str
) -> None:
    item = gallery.done()
    assert as_owner(database, damage) == 1
    evaluation = evaluate(analyses_match_schema, instance)
    assert not evaluation.passed
    assert f"{item}: " in found(evaluation)
    assert problem in found(evaluation)


def test_an_analysis_that_a_model_got_wrong_is_found_as_it_was_told(gallery: Gallery, instance: DagsterInstance) -> None:
    item = gallery.upload()
    gallery.probed(item)
    gallery.thumbnailed(item)
    gallery.analysed(item, category="dragon")
    assert not evaluate(analyses_match_schema, instance).passed


# embeddings


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE embeddings SET embedding = '[2,0,0,0,0,0,0,0]'", "length 2.0000 instead of 1"),
        ("UPDATE embeddings SET embedding = '[0,0,0,0,0,0,0,0]'", "length 0.0000 instead of 1"),
        ("UPDATE embeddings SET embedding = '[1,0,0]'", "3 dimensions, recorded are 8"),
        ("UPDATE embeddings SET dimensions = 4", "8 dimensions, recorded are 4"),
        ("UPDATE embeddings SET analysis_id = item_id", "the vector is of an earlier analysis"),
    ],
)
def test_a_vector_that_isnt_sound_is_found(
    gallery: Gallery, database: Database, instance: DagsterInstance, damage: str, problem: str
) -> None:
    item = gallery.done()
    assert as_owner(database, damage) == 1
    evaluation = evaluate(embeddings_are_sound, instance)
    assert not evaluation.passed
    assert f"{item}: " in found(evaluation)
    assert problem in found(evaluation)


def test_a_vector_that_no_search_finds_is_found(gallery: Gallery, database: Database, instance: DagsterInstance) -> None:
    item = gallery.done()
    as_owner(database, "UPDATE items SET state = 'rejected'")  # hidden from searches
    assert f"{item}: a search for its own vector doesn't find it" in found(evaluate(embeddings_are_sound, instance))


def test_equal_pictures_all_find_themselves(gallery: Gallery, instance: DagsterInstance) -> None:
    for number in range(12):  # more than a search's ten hits, all at distance zero
        gallery.done(f"{number}.jpg", direction=0)
    assert found(evaluate(embeddings_are_sound, instance)) == ""


# progress


@pytest.mark.parametrize("step", PROGRESS)
def test_a_dead_item_is_found_and_a_warning(gallery: Gallery, instance: DagsterInstance, step: str) -> None:
    gallery.done("fine.jpg")
    item = gallery.upload()
    for earlier, make in (("thumbnail", gallery.probed), ("analyze", gallery.thumbnailed), ("embed", gallery.analysed)):
        if list(PROGRESS).index(step) >= list(PROGRESS).index(earlier):
            make(item)
    gallery.failed(item, step, retry_at=None)
    for name, check in PROGRESS.items():
        evaluation = evaluate(check, instance)
        assert evaluation.passed == (name != step)
        if name == step:
            assert evaluation.severity is AssetCheckSeverity.WARN
            assert found(evaluation) == f"- {item}: dead after 1 failures (step_error)"


def overdue(gallery: Gallery, item: uuid.UUID, step: str, after: timedelta) -> list[str]:
    """What the check would find some time from now."""
    with gallery.store.engine.connect() as connection:
        scope = Scope([item], [HOUR], whole=True)
        return stuck(connection, scope, step, datetime.now(UTC) + after).problems


def test_work_that_nobody_starts_is_overdue_after_ten_minutes(gallery: Gallery) -> None:
    item = gallery.upload()
    assert overdue(gallery, item, "probe", timedelta(minutes=9)) == []
    (problem,) = overdue(gallery, item, "probe", timedelta(minutes=11))
    assert problem.startswith(f"{item}: due since ")


def test_a_retry_is_overdue_ten_minutes_after_its_time(gallery: Gallery) -> None:
    item = gallery.upload()
    gallery.failed(item, "probe", retry_at=datetime.now(UTC) + timedelta(minutes=20))
    assert overdue(gallery, item, "probe", timedelta(minutes=29)) == []
    assert len(overdue(gallery, item, "probe", timedelta(minutes=31))) == 1


def test_a_retry_that_was_due_long_ago_is_found_by_the_check(
    gallery: Gallery, database: Database, instance: DagsterInstance
) -> None:
    item = gallery.upload()
    as_owner(database, "ALTER TABLE events DISABLE TRIGGER events_append_only")
    as_owner(database, "UPDATE events SET recorded_at = now() - make_interval(mins => 11)")
    assert f"{item}: due since " in found(evaluate(PROGRESS["probe"], instance))


def test_an_object_that_is_years_old_is_not_overdue_when_it_is_imported(gallery: Gallery) -> None:
    item = gallery.upload(hour=datetime(2026, 1, 1, tzinfo=UTC))
    assert overdue(gallery, item, "probe", timedelta(0)) == []


def test_the_next_step_is_due_when_the_one_before_is_done(gallery: Gallery, database: Database) -> None:
    item = gallery.upload()
    as_owner(database, "ALTER TABLE events DISABLE TRIGGER events_append_only")
    as_owner(database, "UPDATE events SET recorded_at = now() - make_interval(hours => 5)")
    gallery.probed(item)
    assert overdue(gallery, item, "thumbnail", timedelta(minutes=9)) == []
    assert len(overdue(gallery, item, "thumbnail", timedelta(minutes=11))) == 1


def test_claimed_work_is_not_overdue(gallery: Gallery) -> None:
    from media_assets.steps.catalogue import STEPS
    from media_assets.steps.claims import Claims

    item = gallery.upload()
    Claims(gallery.store.engine, run_id=None, lease_seconds=30).take(STEPS["probe"], [HOUR], 10)
    assert overdue(gallery, item, "probe", timedelta(hours=1)) == []
