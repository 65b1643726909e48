"""Dagster as three processes: a code server that imports the definitions once, the webserver and the daemon.

`dagster dev` would import them in servers of its own, and leaves some of its children behind when it is stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from media_assets.local.loopback_http import post_json
from media_assets.local.ports import LOOPBACK
from media_assets.local.processes import ProcessDiedError, ProcessRecord, spawn, stop_marked
from media_assets.local.sockets import make_private, remove_if_empty, socket_folder

PROJECT = Path(__file__).resolve().parents[2]
LOCATION = "media-assets"
"""As in workspace.yaml: Dagster keeps what a person paused by the location's name."""
_START_SECONDS = 120
_STOP_SECONDS = 5
"""Runs use it to stop their tasks and to put down what those cost; ticks that are cut short lose nothing."""
_HEALTH = """{
  workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } }
  instance { daemonHealth { daemonStatus(daemonType: "SENSOR") { lastHeartbeatTime } } }
}"""


class DagsterRecord(BaseModel):
    """Dagster's running processes and the port of its webserver."""

    model_config = ConfigDict(frozen=True)

    port: int
    code_server: ProcessRecord
    webserver: ProcessRecord
    daemon: ProcessRecord

    @property
    def is_alive(self) -> bool:
        return self.code_server.is_alive and self.webserver.is_alive and self.daemon.is_alive


class DagsterProcesses:
    """`home` is DAGSTER_HOME; `definitions` is a module that is importable in `project`, which has the dagster.yaml."""

    def __init__(self, home: Path, logs: Path, definitions: str, project: Path = PROJECT) -> None:
        self.home = home
        self._logs = logs
        self.definitions = definitions
        self._project = project
        self._socket = socket_folder(home / "socket", "code.sock") / "code.sock"
        self._mark = f"dagster:{home}"

    def start(self, environment: Mapping[str, str], port: int) -> DagsterRecord:
        """Start all three and wait until the definitions are loaded and the daemon is at work.

        `environment` is all they get; it names DAGSTER_HOME. Raises ProcessDiedError, with the reason
        if the definitions can't be imported, and TimeoutError.
        """
        self._write_configuration()
        started_at = time.time()
        record = DagsterRecord(
            port=port,
            code_server=self._spawn("code-server", self._code_server(), environment),
            webserver=self._spawn("webserver", self._webserver(port), environment),
            daemon=self._spawn("daemon", self._daemon(), environment),
        )
        self._wait(record, started_at)
        return record

    def stop(self) -> None:
        """End them and every run that they launched. Idempotent. Raises ProcessSurvivedError."""
        # Daemon and code server, and what ends with it: while a tick waits for something to do, they don't end.
        stop_marked(self._mark, _STOP_SECONDS, wait_not_for=["local.daemon", "api grpc", "resource_tracker"])
        self._socket.unlink(missing_ok=True)
        remove_if_empty(self._socket.parent)

    def migrate(self, environment: Mapping[str, str]) -> None:
        """Create Dagster's tables, or bring those of an older Dagster up to date. Raises RuntimeError."""
        self._write_configuration()
        command = [sys.executable, "-m", "dagster", "instance", "migrate"]
        done = subprocess.run(command, env=dict(environment), cwd=self.home, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"`dagster instance migrate` exited with {done.returncode}:\n{done.stderr[-4000:]}")

    def _write_configuration(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._project / "dagster.yaml", self.home / "dagster.yaml")
        server = {"grpc_server": {"socket": str(self._socket), "location_name": LOCATION}}
        self._workspace.write_text(json.dumps({"load_from": [server]}))
        make_private(self._socket.parent, os.getuid())
        self._socket.unlink(missing_ok=True)

    @property
    def _workspace(self) -> Path:
        return self.home / "workspace.yaml"

    def _code_server(self) -> list[str]:
        where = ["--socket", str(self._socket), "--location-name", LOCATION]
        return ["dagster", "api", "grpc", *where, "--module-name", self.definitions]

    def _webserver(self, port: int) -> list[str]:
        return ["dagster_webserver", "--host", LOOPBACK, "--port", str(port), "--workspace", str(self._workspace)]

    def _daemon(self) -> list[str]:
        return ["media_assets.local.daemon", str(self._socket), "run", "--workspace", str(self._workspace)]

    def _spawn(self, name: str, module: list[str], environment: Mapping[str, str]) -> ProcessRecord:
        return spawn(
            [sys.executable, "-m", *module],
            mark=self._mark,
            environment=environment,
            folder=self._project,
            log=self._log(name),
        )

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def _wait(self, record: DagsterRecord, started_at: float) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_ready(record.port, started_at):
            for name in ("code-server", "webserver", "daemon"):
                process: ProcessRecord = getattr(record, name.replace("-", "_"))
                if not process.is_alive:
                    raise ProcessDiedError(f"Dagster's {name}", self._log(name))
            if time.monotonic() > deadline:
                raise TimeoutError(f"Dagster is not ready after {_START_SECONDS} s; its logs are in {self._logs}")
            time.sleep(0.1)

    def _is_ready(self, port: int, started_at: float) -> bool:
        """Dagster looks for the code server by itself until it is there; a heartbeat may be an earlier daemon's."""
        try:
            data = post_json(f"http://{LOOPBACK}:{port}/graphql", {"query": _HEALTH})["data"]
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        heartbeat = data["instance"]["daemonHealth"]["daemonStatus"]["lastHeartbeatTime"]
        (location,) = data["workspaceOrError"]["locationEntries"]
        loaded = (location["locationOrLoadError"] or {}).get("__typename") == "RepositoryLocation"
        return loaded and heartbeat is not None and heartbeat > started_at
