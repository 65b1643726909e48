"""Runs of the assets of videos: what was counted, which work a run takes, and nothing in Dagster that it may not know."""

from __future__ import annotations

import uuid

import pytest
from dagster import DagsterInstance

from media_assets.defs.assets.steps import step_assets
from media_assets.defs.partitions import key_of
from media_assets.defs.sensors.runs import run_requests
from media_assets.settings import get_settings
from media_assets.steps.catalogue import STEPS, TEXT_PIPELINE, VIDEO_PIPELINE
from media_assets.steps.pending import Due, Kind
from media_assets.steps.reprocess import request_reprocessing
from tests.unit.defs.cinema import Cinema
from tests.unit.defs.gallery import HOUR
from tests.unit.defs.test_materialize import everything_told, leaks, materializations, run

ASSETS = [asset for asset, step in zip(step_assets, STEPS.values(), strict=True) if step in (*TEXT_PIPELINE, *VIDEO_PIPELINE)]


def test_a_materialization_counts_what_became_of_videos_and_jobs(cinema: Cinema, instance: DagsterInstance) -> None:
    video, _ = cinema.video("a.mp4"), cinema.video("b.mp4")
    cinema.job(video, text="Summer")
    run(ASSETS, instance, HOUR)
    frames, segments, texts = (
        materializations(instance, asset)[key_of(HOUR)] for asset in ("video_frames", "video_segments", "overlay_texts")
    )

    assert {name: frames[name] for name in ("processed", "videos", "video_seconds", "frames", "shots", "pending")} == {
        "processed": 2,
        "videos": 2,
        "video_seconds": 20.0,
        "frames": 4,
        "shots": 6,
        "pending": 0,
    }
    assert (segments["processed"], segments["videos"], segments["video_seconds"]) == (3, 2, 30.0)
    assert (segments["segments"], segments["modes"]) == (2 + 2, "copied 2, encoded 1")
    assert segments["jobs_completed"] == 1
    assert "jobs_failed" not in segments
    assert texts["processed"] == 0
    assert texts.keys().isdisjoint({"videos", "texts", "frames", "segments"})


def test_a_run_for_new_work_leaves_recomputations_to_others(cinema: Cinema, instance: DagsterInstance) -> None:
    old = cinema.video("old.mp4")
    cinema.framed(old, 480)
    cinema.segmented(old, 10_000)
    request_reprocessing(cinema.store, [old], ["frames", "segment"], reason="a better eye")
    new, job = cinema.video("new.mp4"), cinema.job(old)

    def run_for(kind: Kind) -> set[tuple[str | None, uuid.UUID | None, uuid.UUID | None]]:
        (request,) = run_requests([Due("video", HOUR, kind)], {})
        result = run(ASSETS, instance, HOUR, tags=request.tags)
        return {
            (event.step, event.item_id, event.job_id)
            for event in cinema.store.all()
            if event.run_id == result.run_id and event.step and event.attempt_id
        }

    assert run_for("new") == {("frames", new, None), ("segment", new, None), ("segment", old, job)}
    assert run_for("again") == {("frames", old, None), ("segment", old, None)}


@pytest.mark.parametrize("contact_sheets", [True, False])
def test_dagster_hears_of_no_key_and_of_no_text(
    cinema: Cinema, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch, contact_sheets: bool
) -> None:
    base = "http://127.0.0.1:4566/photos"
    if contact_sheets:
        monkeypatch.setenv("MEDIA_CONTACT_SHEET_BASE_URL", base)
        get_settings.cache_clear()
    cinema.job(cinema.video("a-secret-name.mp4"), text="tabby cats for sale")
    run(ASSETS, instance, HOUR)

    told = everything_told(instance)
    sheets = [line for line in told if f"![contact sheet]({base}/previews/" in line]
    assert len(sheets) == (2 if contact_sheets else 0)  # of frames and of segments, none of texts
    assert leaks(told, cinema) == []
    assert [line for line in told if "processed/" in line] == []
