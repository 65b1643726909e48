"""Temporary files go: at the end, after an error, and after a kill -9 of the process that had them."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lambdas.runtime.scratch import scratch_folder

OWNER = """
import sys
from lambdas.runtime.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "video.mp4").write_bytes(b"x" * 1000)
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)


@contextmanager
def another_process() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that has a scratch folder, and the folder."""
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def test_a_folder_is_private_and_goes_at_the_end() -> None:
    with scratch_folder() as folder:
        assert list(folder.iterdir()) == []
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_bytes(b"x")
    assert not folder.exists()


def test_it_goes_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), scratch_folder() as folder:
        _ = 1 / 0
    assert not folder.exists()


def test_what_a_killed_process_left_goes_with_the_next_use() -> None:
    with another_process() as (process, left):
        assert (left / "video.mp4").exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert left.exists()
        with scratch_folder() as folder:
            assert folder != left
            assert not left.exists()


def test_what_a_living_process_has_stays() -> None:
    with another_process() as (process, living):
        with scratch_folder() as folder:
            assert folder != living
        assert (living / "video.mp4").exists()
        process.communicate()  # its standard input ends, and so does it
        assert not living.exists()


def test_many_at_once_never_take_each_others() -> None:
    def use(number: int) -> bool:
        with scratch_folder() as folder:
            (folder / "mine").write_text(str(number))
            return (folder / "mine").read_text() == str(number)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(use, range(300)))


@pytest.mark.parametrize("make", [lambda path: path.mkdir(mode=0o755), lambda path: path.symlink_to("/")])
def test_a_folder_that_others_can_enter_is_not_used(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / f"media-assets-scratch-{os.getuid()}")
    with pytest.raises(PermissionError), scratch_folder():
        pytest.fail("unreachable")
