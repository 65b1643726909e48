"""Given a hostile file, ffmpeg reaches nothing but that file, and stays within its limits."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest

from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.scratch import scratch_folder
from lambdas.runtime.step import StepError
from lambdas.runtime.video.formats import VideoFormat
from lambdas.segment import ffmpeg_process
from lambdas.segment.ffmpeg_process import Deadline, Sandbox, Source
from tests.unit.conftest import Bucket, error
from tests.unit.segment.hostile import playlists, with_duration, with_media_elsewhere, without_index
from tests.unit.segment.segmenting import outcome_of, planned, segmented, uploaded
from tests.unit.videos import Videos


@contextmanager
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server on the loopback interface, and what it hears."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    heard.append(connection.recv(1000))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x.ts", heard
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def sandbox(folder: Path, *, seconds: float = 30, output_bytes: int = 10_000_000) -> Sandbox:
    ends = time.monotonic() + seconds
    return Sandbox(folder, Deadline(lambda: round((ends - time.monotonic()) * 1000), 0), output_bytes)


def run(path: Path, format: VideoFormat, **limits: Any) -> None:
    """Let ffmpeg write each picture of a file as it is."""
    with scratch_folder() as folder, Source.open(path, format) as source:
        sandbox(folder, **limits).run(source, source.input().output("out.rgb", f="rawvideo", c="rawvideo"))


@pytest.mark.parametrize("format", [VideoFormat.MP4, VideoFormat.MKV, VideoFormat.AVI, VideoFormat.TS])
def test_playlists_are_no_videos_and_what_they_name_is_not_opened(format: VideoFormat, videos: Videos, tmp_path: Path) -> None:
    canary = videos("ts")
    opened = canary.stat().st_atime_ns
    with listener() as (url, heard):
        for name, body in playlists(url, str(canary)).items():
            path = tmp_path / f"{name}.mp4"
            path.write_bytes(body)
            with pytest.raises(StepError) as raised:
                run(path, format)
            assert raised.value.code is ErrorCode.CORRUPT
            assert url not in raised.value.message
        assert heard == []
    assert canary.stat().st_atime_ns == opened


def test_the_listener_would_have_heard_an_ffmpeg_that_may_choose(tmp_path: Path) -> None:
    with listener() as (url, heard):
        path = tmp_path / "hls.m3u8"
        path.write_bytes(playlists(url, "/nowhere/x.ts")["hls"])
        allowed = ("-protocol_whitelist", "file,http,tcp", "-allowed_extensions", "ALL")
        subprocess.run(
            [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", *allowed, "-i", str(path), "-f", "null", "-"],
            check=False,
            timeout=20,
        )
        assert heard != []


def test_a_playlist_with_a_videos_name_is_rejected_by_the_step(bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos("mp4"))
    with listener() as (url, heard):
        for body in playlists(url, "/etc/passwd").values():
            outcome = outcome_of(planned(bucket.put(body, "v.mp4").model_copy(update={"input": item.input}), 1000))
            assert error(outcome) == (ErrorCode.UNSUPPORTED_FORMAT, "the file is no video of a format that is accepted", False)
        assert heard == []


def test_media_that_are_in_another_file_are_not_read(bucket: Bucket, videos: Videos) -> None:
    mov = videos.make("-i", str(videos("silent")), "-c", "copy", ".mov")
    item = uploaded(bucket, mov)
    hostile = with_media_elsewhere(mov.read_bytes(), str(videos("silent")))
    assert b"alis" in hostile
    for exact in (False, True):
        outcome = outcome_of(planned(swapped(bucket, item, hostile), 1000), exact=exact)
        assert outcome.error is not None
        assert outcome.error.code is ErrorCode.CORRUPT


def swapped(bucket: Bucket, item: BatchItem, body: bytes) -> BatchItem:
    """Another file with what probe said of this one."""
    return bucket.put(body, "video").model_copy(update={"input": item.input})


def test_files_that_are_not_whole_are_rejected(bucket: Bucket, videos: Videos) -> None:
    item, whole = uploaded(bucket, videos("mp4")), videos("mp4").read_bytes()
    bodies = {
        "no index": (without_index(videos("moov_last").read_bytes()), ErrorCode.CORRUPT),
        "cut off in the middle of a group of pictures": (whole[: len(whole) * 6 // 10], ErrorCode.TRUNCATED),
        "Matroska cut off": (videos("mkv").read_bytes()[:15_000], ErrorCode.TRUNCATED),
        "nothing after its first bytes": (whole[:600], ErrorCode.CORRUPT),
        # Which it isn't for the probe: here it could be an option of ours that ffmpeg refuses, and no file's fault is for ever.
        "zeros after its first bytes": (whole[:40] + bytes(5000), ErrorCode.STEP_ERROR),
    }
    for name, (body, code) in bodies.items():
        for exact in (False, True):
            outcome = outcome_of(planned(swapped(bucket, item, body), 700), exact=exact)
            assert outcome.error is not None, name
            assert (name, outcome.error.code, outcome.error.retryable) == (name, code, False)


def test_a_duration_of_zero_in_the_header_misleads_nobody(bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos("mp4"))
    body = with_duration(videos("mp4").read_bytes(), 0)
    found = segmented(bucket, planned(swapped(bucket, item, body), 1000))
    assert found.bounds == [(0, 1000), (1000, 2000)]


def test_a_file_that_grows_without_bound_is_stopped(videos: Videos) -> None:
    with pytest.raises(StepError) as raised:
        run(videos("mp4"), VideoFormat.MP4, output_bytes=50_000)
    assert (raised.value.code, raised.value.message) == (ErrorCode.STEP_ERROR, "the segments have more than 50,000 bytes")
    assert not raised.value.retryable


def test_memory_is_bounded_and_the_file_not_called_corrupt(videos: Videos, monkeypatch: pytest.MonkeyPatch) -> None:
    large = videos.make("-f", "lavfi", "-i", "color=gray:size=3840x2160:rate=10:duration=0.3", "-c:v", "libx264", ".mp4")
    monkeypatch.setattr(ffmpeg_process, "MEMORY_BYTES", 250_000_000)  # of which ffmpeg itself has 180
    with scratch_folder() as folder, Source.open(large, VideoFormat.MP4) as source, pytest.raises(StepError) as raised:
        sandbox(folder).run(source, source.input()["V:0"].output("out.mp4", threads=1, filter_threads=1))
    assert (raised.value.code, raised.value.message) == (ErrorCode.STEP_ERROR, "this video takes more than 0.2 GB of memory")
    assert not raised.value.retryable


def test_ffmpeg_has_an_empty_environment_its_own_folder_and_no_other_files(
    videos: Videos, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    probe = tmp_path / "ffmpeg"
    probe.write_text(f"#!/bin/sh\n(pwd; cat /proc/self/environ; ls -l /proc/self/fd; ulimit -a) > {seen}\n")
    probe.chmod(0o755)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(probe))
    with scratch_folder() as folder, Source.open(videos("mp4"), VideoFormat.MP4) as source:
        sandbox(folder).run(source, source.input().output("out.mp4"))
        said = seen.read_text()
        assert said.splitlines()[0] == str(folder)
    assert "AWS" not in said
    assert "HOME=" not in said
    links = [line.split(" -> ")[1] for line in said.splitlines() if " -> " in line]
    assert {link for link in links if not link.startswith(("pipe:", "/dev/null", "/proc", str(seen)))} == {str(videos("mp4"))}


def test_ffmpeg_is_stopped_when_the_time_is_over(videos: Videos, tmp_path: Path) -> None:
    begun, others = time.monotonic(), children()
    with pytest.raises(StepError) as raised:
        slow_encode(videos, sandbox(tmp_path, seconds=0.6))
    assert raised.value.code is ErrorCode.TIMEOUT
    assert time.monotonic() - begun < 5
    assert children() == others


def test_ffmpeg_is_stopped_when_the_worker_is_told_to_stop_and_the_file_is_not_blamed(videos: Videos, tmp_path: Path) -> None:
    stops, others = time.monotonic() + 0.6, children()
    deadline = Deadline(lambda: 60_000 if time.monotonic() < stops else 0, 10)
    with pytest.raises(StepError) as raised:
        slow_encode(videos, Sandbox(tmp_path, deadline, 10**9))
    assert raised.value.code is ErrorCode.NOT_STARTED
    assert time.monotonic() - stops < 5
    assert children() == others


def slow_encode(videos: Videos, where: Sandbox) -> None:
    with Source.open(videos("mp4"), VideoFormat.MP4) as source:
        slow = source.input()["V:0"].filter("loop", -1, size=20).filter("scale", 1920, 1080)
        where.run(source, slow.output("out.mp4", preset="slow"))


def children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
