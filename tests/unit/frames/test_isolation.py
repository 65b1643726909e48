"""The process that decodes: what it can't do, and what becomes of its end."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lambdas.frames.isolation import Extraction
from lambdas.frames.orders import Order, Picture
from lambdas.frames.track import Track
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from tests.unit.videos import Videos

ORDER = Order("mov", (1, 1), 0, 2000, 10.0, 10, 1920, 95, 2_000_000, 10_000)


@pytest.fixture
def noisy(videos: Videos) -> Path:
    """Two shots, whose pictures are more than a pipe holds."""
    sources = ("testsrc2=size=960x720:rate=5:duration=1", "rgbtestsrc=size=960x720:rate=5:duration=1")
    return videos.make(
        *(part for each in sources for part in ("-f", "lavfi", "-i", f"{each},noise=alls=80:allf=u")),
        "-filter_complex", "concat=n=2,format=yuv420p", "-c:v", "libx264", "-preset", "ultrafast", ".mp4",
    )  # fmt: skip


def pictures(path: Path, order: Order, seconds: float = 30) -> Generator[Picture, None, None]:
    with path.open("rb") as file:
        yield from Extraction(file.fileno(), order, time.monotonic() + seconds, lambda share: None).pictures()


def child() -> Path:
    """The process that decodes, in /proc."""
    ids = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    (found,) = [each for each in ids if b"lambdas.frames.extraction" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return Path("/proc", found)


def error_of(made: Iterator[Picture]) -> StepError:
    with pytest.raises(StepError) as caught:
        list(made)
    return caught.value


def test_it_has_no_environment_and_no_way_to_a_file(noisy: Path) -> None:
    made = pictures(noisy, ORDER)
    next(made)
    process = child()
    variables = [each.split(b"=")[0] for each in (process / "environ").read_bytes().split(b"\0") if each]
    assert variables == [b"PYTHONPATH", b"LD_LIBRARY_PATH", b"OPENBLAS_NUM_THREADS"]
    limits = (process / "limits").read_text()
    assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["3", "3"]]
    made.close()
    assert not process.exists()


def test_when_the_decoder_crashes_it_is_that_videos_failure(noisy: Path) -> None:
    made = pictures(noisy, ORDER)
    next(made)
    os.kill(int(child().name), signal.SIGSEGV)
    error = error_of(made)
    assert (error.code, error.message) == (ErrorCode.CRASHED, "the process that decodes the video failed: SIGSEGV")


def test_it_ends_with_its_time(noisy: Path) -> None:
    assert error_of(pictures(noisy, ORDER, seconds=0.05)).code is ErrorCode.TIMEOUT


def test_a_demuxer_that_is_not_the_files(noisy: Path) -> None:
    assert error_of(pictures(noisy, replace(ORDER, demuxer="matroska"))).code is ErrorCode.CORRUPT


@pytest.mark.parametrize(
    ("demuxer", "playlist"),
    [
        ("concat", b"ffconcat version 1.0\nfile other.mp4\n"),
        ("hls", b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///tmp/other.ts\n#EXT-X-ENDLIST\n"),
    ],
)
def test_nothing_else_is_opened_even_by_the_demuxers_that_would(demuxer: str, playlist: bytes) -> None:
    with pytest.raises(StepError) as caught:
        list(Track(io.BytesIO(playlist), demuxer, 1_000_000).pictures())
    assert caught.value.code in (ErrorCode.UNSAFE, ErrorCode.CORRUPT)
