"""Folders for Unix sockets, whose paths the kernel limits to about 100 bytes, far less than a checkout may be deep."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

LONGEST_SOCKET_PATH_BYTES = 100
"""macOS takes 103 bytes, Linux 107; the rest is a margin."""


def socket_folder(folder: Path, socket_name: str) -> Path:
    """`folder` if a socket of that name fits into it, else a short folder derived from it; not created."""
    if len(os.fsencode(folder / socket_name)) <= LONGEST_SOCKET_PATH_BYTES:
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path("/tmp") / f"media-assets-{os.getuid()}-{digest}"


def make_private(folder: Path, uid: int) -> None:
    """Create a folder that only `uid` may enter.

    Raises PermissionError if it is somebody else's: in /tmp anybody may have taken the name, to read what is sent.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {uid, os.getuid()}:
        raise PermissionError(f"{folder} is not a folder of user {uid}; remove it or set MEDIA_STATE_DIR to a shorter path")
    folder.chmod(0o700)
    if found.st_uid != uid:
        os.chown(folder, uid, -1)


def remove_if_empty(folder: Path) -> None:
    """One in /tmp would stay there for ever."""
    with suppress(OSError):
        folder.rmdir()
