"""Given a worker that is killed, then the next attempt ends with one set of segments and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lambdas.runtime.contract import BatchItem, Manifest
from lambdas.runtime.step import BadRequest
from lambdas.segment.handler import handler
from tests.unit.conftest import Bucket, LambdaContext, request
from tests.unit.segment.segmenting import PARAMETERS, Segmented, outcome_of, planned, read, segmented, uploaded
from tests.unit.videos import Videos
from tests.waiting import eventually, is_running

WORKER = """
import json, sys
from lambdas.segment.handler import handler
from tests.unit.conftest import LambdaContext
handler({"request": json.load(sys.stdin)}, LambdaContext())
"""


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


def attempt(bucket: Bucket, item: BatchItem, number: int) -> Segmented:
    answer = handler({"request": request("segment", PARAMETERS | {"exact": True}, item, attempt=number)}, LambdaContext())
    (outcome,) = Manifest.model_validate(answer["manifest"]).outcomes
    return read(bucket, item, outcome)


@contextmanager
def worker(item: BatchItem) -> Iterator[subprocess.Popen[bytes]]:
    """A first attempt, in a process of its own, at an encoding that takes long."""
    parameters = PARAMETERS | {"exact": True, "preset": "slow", "crf": 0}
    process = subprocess.Popen([sys.executable, "-c", WORKER], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(json.dumps(request("segment", parameters, item)).encode())
    process.stdin.close()
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ffmpegs_of(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_a_kill_in_mid_encode_takes_ffmpeg_along_and_the_next_attempt_finishes(
    bucket: Bucket, videos: Videos, tmp_path: Path
) -> None:
    large = videos.make("-stream_loop", "9", "-i", str(videos("silent")), "-vf", "scale=640:-2", "-preset", "ultrafast", ".mp4")
    item = planned(uploaded(bucket, large), 7000)
    with worker(item) as process:
        eventually(lambda: list(tmp_path.glob("*/*/work/segment_000.mp4")))
        (ffmpeg,) = ffmpegs_of(process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        eventually(lambda: not is_running(ffmpeg))
    assert list(tmp_path.glob("*/*/work/segment_000.mp4"))  # nobody could remove it

    found = attempt(bucket, item, 2)

    assert found.bounds == [(0, 7000), (7000, 14_000), (14_000, 20_000)]
    names = ["result.json", "segment_000.mp4", "segment_001.mp4", "segment_002.mp4"]
    assert bucket.keys(item.output_prefix) == [item.output_prefix + name for name in names]
    versions = bucket.s3.list_object_versions(Bucket=bucket.name, Prefix=item.output_prefix)["Versions"]
    assert len(versions) == len(names)
    assert list(tmp_path.glob("*/*")) == []


def test_segments_that_an_earlier_attempt_stored_count(bucket: Bucket, videos: Videos) -> None:
    item = planned(uploaded(bucket, videos("mp4")), 700)
    before = segmented(bucket, item, exact=True, crf=40)
    for name in ("segment_002.mp4", "result.json"):
        key = item.output_prefix + name
        version = bucket.s3.head_object(Bucket=bucket.name, Key=key)["VersionId"]
        bucket.s3.delete_object(Bucket=bucket.name, Key=key, VersionId=version)  # as if it had been killed before

    found = attempt(bucket, item, 2)

    assert found.bounds == before.bounds
    assert [segment.body for segment in found.segments[:2]] == [segment.body for segment in before.segments[:2]]
    assert found.segments[2].body != before.segments[2].body
    assert sum(len(segment.frames) for segment in found.segments) == 20


def test_a_finished_result_is_returned_and_nothing_done_again(bucket: Bucket, videos: Videos) -> None:
    item = planned(uploaded(bucket, videos("mp4")), 700)
    before = segmented(bucket, item, exact=True)
    gone = item.model_copy(update={"key": "uploads/nothing"})
    assert attempt(bucket, gone, 2) == before


def test_the_same_plan_gives_the_same_files(bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos("mp4"))
    one, other = (segmented(bucket, planned(item, 700), exact=True, preset="veryfast") for _ in range(2))
    assert one == other


def test_no_files_are_left_after_a_result_or_an_error(bucket: Bucket, videos: Videos, tmp_path: Path) -> None:
    item = uploaded(bucket, videos("mp4"))
    segmented(bucket, planned(item, 700))
    assert outcome_of(planned(item, 700), max_video_bytes=10).error is not None
    assert list(tmp_path.glob("*/*")) == []


def test_requests_that_no_plan_makes_are_refused(bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos("mp4"))
    with pytest.raises(BadRequest, match="2 texts for 3 segments"):
        outcome_of(planned(item, 700, texts=["a", "b"]))
    with pytest.raises(BadRequest, match="a cut of type 'fixed' without planned cuts"):
        outcome_of(planned(item))
    with pytest.raises(BadRequest, match=r"invalid input: video: Field required"):
        outcome_of(item.model_copy(update={"input": {"width": 1, "height": 1}}))
