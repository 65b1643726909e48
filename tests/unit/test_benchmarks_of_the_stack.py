"""What the benchmarks of a running stack are made of: their photos, their folders, answers in place of functions, the peer."""

from __future__ import annotations

import fcntl
import importlib
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import running_stack
from benchmarks.fixed_answers import HEIGHT, WIDTH, FixedTarget
from benchmarks.photos import make_photos
from lambdas.analyze.schema import Analysis
from lambdas.runtime.contract import OutputObject, StepRequest
from media_assets.eventlog.catalogue import AnalysisCompleted
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.step import Work


def test_a_photo_stays_the_same_whatever_the_count(tmp_path: Path) -> None:
    first = make_photos(1, tmp_path)
    before = first[0].read_bytes()
    both = make_photos(2, tmp_path)
    assert both[0] == first[0]
    assert both[0].read_bytes() == before
    megapixels = [Image.open(path).width * Image.open(path).height / 1e6 for path in both]
    assert megapixels == pytest.approx([1, 2], rel=0.01)


def test_a_stack_removes_what_killed_ones_left_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_stack, "BUILD", tmp_path)
    killed, in_use = tmp_path / "bench-stack-killed", tmp_path / "bench-stack-in-use"
    killed.mkdir()
    in_use.mkdir()
    with (in_use / "in-use").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with running_stack._folder() as own:
            assert set(tmp_path.glob("bench-stack-*")) == {in_use, own}


@pytest.mark.parametrize("name", [name for name, step in STEPS.items() if "image" in step.kinds])
def test_fixed_answers_are_what_steps_record(name: str) -> None:
    step = STEPS[name]
    settings = Settings(model_provider="local")
    work = Work(
        **{"item_id": uuid.uuid4(), "user_id": "bench", "bucket": "photos", "key": "uploads/bench/1.jpg", "version_id": "v1"},
        **{"size_bytes": 1, "pixels": 1, "hour": datetime(2026, 7, 1, tzinfo=UTC), "step": name},
        **{"generation": 0, "failures": 0, "attempt": 1},
        input={"analysis_id": uuid.uuid4(), "width": WIDTH, "height": HEIGHT},
    )
    recipe = step.recipe(settings)
    request = StepRequest(
        **{"batch_id": "b", "attempt_id": "a", "attempt": 1, "step": name, "recipe": recipe.digest, "parameters": {}},
        items=(work.batch_item(recipe),),
    )
    attributes = {"size": 256, "width": WIDTH, "height": HEIGHT}
    shared = OutputObject(key="k", sha256="0" * 64, size_bytes=9, content_type="image/webp", attributes=attributes)
    (outcome,) = FixedTarget(settings, (shared,)).send(request).outcomes
    payload = step.payload(work, outcome)
    if isinstance(payload, AnalysisCompleted):
        Analysis.model_validate(payload.analysis)


def test_the_peer_has_a_partition_a_file_and_an_asset_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCK_BUCKET", "photos")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    stock = importlib.import_module("benchmarks.stock_dagster.definitions")
    of_photos = {step.asset for step in STEPS.values() if "image" in step.kinds}
    assert {asset.key.to_user_string() for asset in stock.assets} == of_photos
    assert {asset.partitions_def for asset in stock.assets} == {stock.photos}
