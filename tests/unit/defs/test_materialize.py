"""Runs of the assets: figures by hour, checks on the run's own items, and nothing in Dagster that it may not know."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, ExecuteInProcessResult, materialize

from media_assets.definitions import defs
from media_assets.defs.assets.steps import step_assets
from media_assets.defs.assets.uploads import uploads
from media_assets.defs.checks.media_info import media_info_is_complete
from media_assets.defs.partitions import HOURS, hours_of, key_of
from media_assets.defs.sensors.runs import run_requests
from media_assets.eventlog.events import hour_of
from media_assets.settings import get_settings
from media_assets.steps.catalogue import PIPELINES
from media_assets.steps.pending import Due, Kind
from media_assets.steps.reprocess import request_reprocessing
from tests.conftest import Database
from tests.unit.defs.conftest import evaluate, found
from tests.unit.defs.gallery import EARLIER, EARLIEST, HOUR, Gallery
from tests.unit.defs.owner import as_owner
from tests.unit.defs.processing import ProcessingHere

MEDIA_INFO = step_assets[0]


def run(
    assets: Sequence[Any],
    instance: DagsterInstance,
    *hours: datetime,
    success: bool = True,
    tags: Mapping[str, str] = {},
) -> ExecuteInProcessResult:
    """Materialize assets, and execute checks among them, for some adjoining hours in one run."""
    keys = sorted(map(key_of, hours))
    range_tags = {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[-1]}
    partition = {"partition_key": keys[0], "tags": dict(tags)} if len(keys) == 1 else {"tags": {**tags, **range_tags}}
    result = materialize(
        assets,
        instance=instance,
        resources={"media": ProcessingHere()},
        raise_on_error=success,
        **partition,
    )
    assert result.success == success
    return result


def materializations(instance: DagsterInstance, asset: str) -> dict[str, dict[str, Any]]:
    """Metadata of each partition's newest materialization."""
    records = instance.fetch_materializations(AssetKey(asset), limit=100).records
    return {
        str(record.partition_key): {
            name: value.value
            for name, value in record.asset_materialization.metadata.items()  # type: ignore[union-attr]
        }
        for record in reversed(records)
    }


def test_the_pipelines_take_an_upload_all_the_way_and_their_checks_pass(gallery: Gallery, instance: DagsterInstance) -> None:
    for name in ("a.jpg", "b.jpg"):
        gallery.upload(name)
    results = {
        pipeline: defs.resolve_job_def(f"{pipeline}_pipeline").execute_in_process(
            instance=instance, partition_key=key_of(HOUR), resources={"media": ProcessingHere()}
        )
        for pipeline in PIPELINES
    }
    for asset in ("media_info", "thumbnails", "analyses", "embeddings", "detections"):
        assert materializations(instance, asset) == {
            key_of(HOUR): {
                "processed": 2,
                "failed": 0,
                "rejected": 0,
                "pending": 0,
                "bytes": 10,
                "milliseconds": 14,
                "dollars": 0.000002,
                **({"targets": "lambda 2"} if asset == "detections" else {}),
            }
        }
    evaluations = {pipeline: result.get_asset_check_evaluations() for pipeline, result in results.items()}
    assert {each.check_name: found(each) for every in evaluations.values() for each in every if not each.passed} == {}
    of_pictures = [*evaluations["image"], *evaluations["detection"]]
    assert {each.metadata["checked"].value for each in of_pictures} == {2}
    assert len(of_pictures) == 10
    assert {each.metadata["checked"].value for each in evaluations["video"]} == {0}
    ran_in = {event.step: event.run_id for event in gallery.store.all() if event.step}
    assert ran_in == {step.name: results[of].run_id for of in ("image", "detection") for step in PIPELINES[of]}


def test_a_range_of_hours_puts_each_hours_own_figures_on_its_partition(gallery: Gallery, instance: DagsterInstance) -> None:
    for number, hour in enumerate((EARLIEST, EARLIER, HOUR), start=1):
        for n in range(number):
            gallery.upload(f"{number}-{n}.jpg", hour)
    gallery.rejected(gallery.upload("an-earlier-run-has-rejected-this.jpg", EARLIER))
    run([MEDIA_INFO], instance, EARLIEST, EARLIER, HOUR)
    figures = materializations(instance, "media_info")
    assert figures.keys() == {key_of(hour) for hour in (EARLIEST, EARLIER, HOUR)}
    assert [figures[key_of(hour)]["processed"] for hour in (EARLIEST, EARLIER, HOUR)] == [1, 2, 3]
    assert [figures[key_of(hour)]["bytes"] for hour in (EARLIEST, EARLIER, HOUR)] == [7, 14, 21]
    assert [figures[key_of(hour)]["milliseconds"] for hour in (EARLIEST, EARLIER, HOUR)] == [7, 14, 21]


def test_a_run_for_new_work_leaves_recomputations_to_others(gallery: Gallery, instance: DagsterInstance) -> None:
    old, new = gallery.done("old.jpg"), gallery.upload("new.jpg")
    request_reprocessing(gallery.store, [old], ["probe"], reason="better measurements")

    def run_for(kind: Kind) -> list[uuid.UUID | None]:
        (request,) = run_requests([Due("image", HOUR, kind)], {})
        job, resources = defs.resolve_job_def("image_pipeline"), {"media": ProcessingHere()}
        result = job.execute_in_process(
            instance=instance, partition_key=key_of(HOUR), tags=dict(request.tags), resources=resources
        )
        return [event.item_id for event in gallery.store.all() if event.run_id == result.run_id and event.step == "probe"]

    assert run_for("new") == [new]
    assert run_for("again") == [old]


def test_an_hour_in_which_nothing_arrived_is_a_materialization_of_nothing(gallery: Gallery, instance: DagsterInstance) -> None:
    run([MEDIA_INFO], instance, HOUR)
    nothing = dict.fromkeys(("processed", "failed", "rejected", "pending", "bytes", "milliseconds", "dollars"), 0)
    assert materializations(instance, "media_info") == {key_of(HOUR): nothing}


def test_materializing_uploads_imports_each_hours_own_objects(gallery: Gallery, instance: DagsterInstance) -> None:
    now = hour_of(datetime.now(UTC))  # what S3 says of objects that are put now
    gallery.upload("known.jpg", now)
    gallery.upload("older.jpg", EARLIER)
    gallery.upload("gone.jpg", EARLIER)
    gallery.s3.delete_object(Bucket=gallery.bucket, Key="uploads/ada/gone.jpg")
    for name in ("missed-1.jpg", "missed-2.jpg"):
        gallery.s3.put_object(Bucket=gallery.bucket, Key=f"uploads/ada/{name}", Body=b"12345")
    run([uploads], instance, EARLIEST, EARLIER, now)
    figures = materializations(instance, "uploads")
    assert [figures[key_of(hour)]["repaired"] for hour in (EARLIEST, EARLIER, now)] == [0, 1, 2]
    assert figures[key_of(now)] == {"items": 3, "bytes": len("known.jpg") + 5 + 5, "repaired": 2}
    run([uploads], instance, EARLIER, now)
    assert [materializations(instance, "uploads")[key_of(hour)]["repaired"] for hour in (EARLIER, now)] == [0, 0]


def test_materializing_uploads_leaves_other_hours_alone(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.s3.put_object(Bucket=gallery.bucket, Key="uploads/ada/missed.jpg", Body=b"x")
    run([uploads], instance, EARLIER)
    assert gallery.store.head() == 0
    run([uploads], instance, hour_of(datetime.now(UTC)))
    assert gallery.store.head() == 1


# What checks look at


def test_in_a_run_a_check_looks_at_that_runs_items(gallery: Gallery, database: Database, instance: DagsterInstance) -> None:
    broken = gallery.upload("broken.jpg")
    gallery.probed(broken)
    as_owner(database, "UPDATE items SET kind = NULL")
    for name in ("a.jpg", "b.jpg"):
        gallery.upload(name)
    (in_run,) = run([MEDIA_INFO, media_info_is_complete], instance, HOUR).get_asset_check_evaluations()
    assert in_run.passed
    assert in_run.metadata["checked"].value == 2
    assert in_run.metadata["hours"].value == key_of(HOUR)

    alone = evaluate(media_info_is_complete, instance)
    assert not alone.passed
    assert alone.metadata["checked"].value == 3
    assert str(broken) in found(alone)


def test_what_a_check_found_wrong_stays_in_view_until_it_is_mended(
    gallery: Gallery, database: Database, instance: DagsterInstance
) -> None:
    gallery.probed(gallery.upload("broken.jpg"))
    as_owner(database, "UPDATE items SET kind = NULL")
    assert not evaluate(media_info_is_complete, instance).passed

    gallery.upload("fine.jpg")
    (in_run,) = run([MEDIA_INFO, media_info_is_complete], instance, HOUR).get_asset_check_evaluations()
    assert not in_run.passed
    assert in_run.metadata["checked"].value == 2

    as_owner(database, "UPDATE items SET kind = 'image'")
    gallery.upload("another.jpg")
    (mended,) = run([MEDIA_INFO, media_info_is_complete], instance, HOUR).get_asset_check_evaluations()
    assert mended.passed
    assert mended.metadata["checked"].value == 3

    gallery.upload("last.jpg")
    (after,) = run([MEDIA_INFO, media_info_is_complete], instance, HOUR).get_asset_check_evaluations()
    assert after.metadata["checked"].value == 1


def test_in_a_run_that_had_nothing_to_do_a_check_looks_at_nothing(
    gallery: Gallery, database: Database, instance: DagsterInstance
) -> None:
    # The hour may hold any number of items, and a run for one retry must not open all their thumbnails.
    gallery.probed(gallery.upload())
    as_owner(database, "UPDATE items SET kind = NULL")
    (in_run,) = run([MEDIA_INFO, media_info_is_complete], instance, HOUR).get_asset_check_evaluations()
    assert in_run.passed
    assert in_run.metadata["checked"].value == 0


def test_a_range_is_looked_at_as_a_whole(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.upload("a.jpg", EARLIER)
    gallery.upload("b.jpg", HOUR)
    (in_run,) = run([MEDIA_INFO, media_info_is_complete], instance, EARLIER, HOUR).get_asset_check_evaluations()
    assert in_run.metadata["checked"].value == 2
    assert in_run.metadata["hours"].value == f"{key_of(EARLIER)}, {key_of(HOUR)}"


def test_standalone_a_check_looks_at_the_24_newest_hours_with_items(gallery: Gallery, instance: DagsterInstance) -> None:
    every = hours_of(HOURS.get_partition_keys()[-30:])
    for number, hour in enumerate(every):
        gallery.probed(gallery.upload(f"{number}.jpg", hour))
    evaluation = evaluate(media_info_is_complete, instance)
    assert evaluation.metadata["checked"].value == 24
    assert evaluation.metadata["hours"].value == ", ".join(map(key_of, every[-24:]))


# What Dagster may know


@pytest.mark.parametrize("contact_sheets", [True, False])
def test_dagster_hears_of_no_key_no_address_and_no_content(
    gallery: Gallery, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, contact_sheets: bool
) -> None:
    base = "http://127.0.0.1:4566/photos"
    if contact_sheets:
        monkeypatch.setenv("MEDIA_CONTACT_SHEET_BASE_URL", base)
        get_settings.cache_clear()
    gallery.upload("a-secret-name.jpg")
    gallery.s3.put_object(Bucket=gallery.bucket, Key="uploads/ada/another-secret-name.jpg", Body=b"x")
    run([uploads], instance, HOUR)
    for pipeline in PIPELINES:
        job = defs.resolve_job_def(f"{pipeline}_pipeline")
        job.execute_in_process(instance=instance, partition_key=key_of(HOUR), resources={"media": ProcessingHere()})

    told = everything_told(instance)
    assert len(told) > 50
    sheets = [line for line in told if f"![contact sheet]({base}/previews/" in line]
    assert len(sheets) == (4 if contact_sheets else 0)  # of thumbnails, analyses, embeddings and detections
    assert leaks(told, gallery) == []
    assert [line for line in told if "http" in line and line not in sheets and "dagster" not in line] == []


def test_a_database_that_fails_in_mid_append_leaks_nothing(
    gallery: Gallery, database: Database, instance: DagsterInstance
) -> None:
    gallery.upload("a-secret-name.jpg")
    as_owner(database, "ALTER TABLE events RENAME COLUMN tokens_in TO tokens_away")
    run([step_assets[0]], instance, HOUR, success=False)
    told = everything_told(instance)
    assert [line for line in told if "append_events" in line]
    assert leaks(told, gallery) == []


def everything_told(instance: DagsterInstance) -> list[str]:
    """Every entry of Dagster's event log, as JSON: messages, metadata, errors."""
    return [
        entry.to_json()  # type: ignore[no-untyped-call]
        for run in instance.get_runs()
        for entry in instance.all_logs(run.run_id)
    ]


def leaks(told: list[str], gallery: Gallery) -> list[str]:
    """Entries that hold what Dagster may not know."""
    secrets = ("secret-name", "uploads/", "derived/", gallery.bucket, "tabby", "amazonaws", "postgresql", "image/jpeg")
    return [line for line in told if any(secret in line for secret in secrets)]
