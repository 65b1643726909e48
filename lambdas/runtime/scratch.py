"""Folders for the temporary files of one item, which go at the end also when the process is killed.

A folder belongs to whoever holds its lock (flock of the folder itself), which the kernel releases with the process. So a
folder whose lock can be taken has no owner, and the next one who needs a folder removes it. Folders are made, locked and
swept under the lock of the folder that holds them all: nobody ever sees one between its making and its locking.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder, readable by this user only (mode 0700), removed at the end with all that is in it.

    Raises PermissionError if somebody else made the folder that holds them, and OSError if there can be none.
    """
    parent = _parent()
    with _locked(parent, wait=True):
        for folder in parent.iterdir():
            _remove_if_left(folder)
        own = Path(tempfile.mkdtemp(dir=parent))
        descriptor = _lock(own, wait=False)
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)  # what a dying child still writes is swept by the next one
        os.close(descriptor)


def _parent() -> Path:
    parent = Path(tempfile.gettempdir(), f"media-assets-scratch-{os.getuid()}")
    parent.mkdir(mode=0o700, exist_ok=True)
    status = parent.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o077:
        raise PermissionError(f"{parent} is not a folder that only this user can enter")
    return parent


def _remove_if_left(folder: Path) -> None:
    try:
        with _locked(folder, wait=False):
            shutil.rmtree(folder, ignore_errors=True)
    except (BlockingIOError, FileNotFoundError):  # somebody's; or its owner has just removed it
        return


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    descriptor = _lock(folder, wait=wait)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, *, wait: bool) -> int:
    """A descriptor that holds the folder's lock until it is closed, here and in children that still have it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
