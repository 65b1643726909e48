"""The one-machine stack: embedded Postgres, the AWS emulator with the deployment in it, the outbox relay, and Dagster.

`up` brings it from any state, after a crash of any part at any moment, to one where everything runs; what runs already is
kept. Everything it knows is in the state folder, so any later process finds the stack again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict
from sqlalchemy import create_engine

from media_assets.eventlog import migrate
from media_assets.eventlog.embedding_index import ensure_embedding_index
from media_assets.eventlog.outbox import relay_is_at_work
from media_assets.local.budgets import Budgets
from media_assets.local.container_engine import ContainerEngine
from media_assets.local.dagster_processes import PROJECT, DagsterProcesses
from media_assets.local.deploy import deploy, store_model_api_key
from media_assets.local.emulator import CREDENTIALS, REGION, Emulator
from media_assets.local.environment import base_environment, proxy_bypass
from media_assets.local.memory import Memory
from media_assets.local.missed_uploads import import_missed_uploads
from media_assets.local.ports import LOOPBACK, free_port
from media_assets.local.postgres import DAGSTER_DATABASE, MEDIA_DATABASE, EmbeddedPostgres
from media_assets.local.relay_process import RelayProcess, relay_environment
from media_assets.local.settings_in_force import settings_in_force
from media_assets.local.synth import synthesize
from media_assets.settings import Settings

Progress = Callable[[str], None]
APPLICATION_ROLE = "media_assets_app"
"""Made by the event log's migrations; it can't change what was appended."""
_USUAL_EMULATOR_PORT = 4566
_USUAL_DAGSTER_PORT = 3000
_USUAL_DOCKER_HOST = "unix:///var/run/docker.sock"


class StackBusyError(RuntimeError):
    """Another process is starting or stopping the same stack."""


class StackInfo(BaseModel):
    """A running stack."""

    model_config = ConfigDict(frozen=True)

    environment: dict[str, str]
    """Variables with which `aws`, `psql` and `dagster` talk to it; its own processes have them too. No secret is among them."""
    budgets_before: Budgets = Budgets()
    """Those in force before `up`."""
    emulator_was_restarted: bool = False
    """Its queues were empty; `up` has imported the uploads whose notifications were lost."""


class Stack:
    """The stack in `settings.state_dir`. Making this object starts nothing."""

    def __init__(self, settings: Settings, definitions: str = "media_assets.definitions", project: Path = PROJECT) -> None:
        self._settings = settings
        self._folder = settings.state_dir
        self._project = project
        logs = self._folder / "logs"
        self._postgres = EmbeddedPostgres(self._folder / "postgres", logs / "postgres.log")
        self._containers = ContainerEngine(self._folder / "ecs", logs / "containers.log")
        docker_host = os.environ.get("DOCKER_HOST", _USUAL_DOCKER_HOST)
        self._emulator = Emulator(
            self._folder / "emulator",
            logs / "emulator.log",
            self._containers.docker_host if settings.ecs_engine == "processes" else docker_host,
        )
        self._relay = RelayProcess(self._folder / "relay", logs)
        self._dagster = DagsterProcesses(self._folder / "dagster", logs, definitions, project)

    def up(self, on_progress: Progress = lambda message: None) -> StackInfo:
        """Start what doesn't run, deploy what changed, wait until all of it is ready.

        `on_progress` gets a line for a person after each part, from several threads. If a part fails, what this call had
        started is stopped again and the part's error is raised. Raises StackBusyError.
        """
        os.environ.update(proxy_bypass())
        with self._alone(), ExitStack() as undo:
            memory = Memory.load(self._file)
            budgets_before = Budgets.among(memory.settings)
            with ThreadPoolExecutor(3) as pool:
                database = pool.submit(self._start_database, memory.dagster_version, undo, on_progress)
                emulator = pool.submit(self._start_emulator, memory, undo, on_progress)
                assembly = pool.submit(self._synthesize, on_progress)
                parts: list[Future[Any]] = [database, emulator, assembly]
                try:
                    emulator_restarted = emulator.result()
                    self._deploy(memory, assembly.result(), on_progress)
                    database_restarted = database.result()
                except BaseException:
                    wait(parts)  # what is still being started couldn't be stopped
                    raise
            memory.dagster_version = version("dagster")
            memory.save(self._file)
            if emulator_restarted:
                self._import_missed_uploads(memory, on_progress)
            self._start_relay(memory, undo, anyway=database_restarted)
            self._start_dagster(memory, undo, on_progress, anyway=database_restarted)
            self._await_relay(memory, on_progress)
            undo.pop_all()
        return StackInfo(
            environment=self._environment(memory), budgets_before=budgets_before, emulator_was_restarted=emulator_restarted
        )

    def down(self) -> None:
        """Stop every process, also what a crash left behind; data and ports stay. Idempotent.

        Raises StackBusyError, and ProcessSurvivedError if something can't be stopped.
        """
        if not self._folder.exists():
            return
        with self._alone():
            self._dagster.stop()
            self._relay.stop()
            self._containers.stop()  # first: the emulator would wait for its tasks
            self._emulator.stop()
            self._postgres.stop()

    def parts(self) -> dict[str, bool]:
        """Which parts there are, by names for a person, and whether each of them runs."""
        memory = Memory.load(self._file)
        dagster = memory.dagster
        processes = {
            "the AWS emulator": memory.emulator,
            "the relay": memory.relay,
            "Dagster's code server": dagster and dagster.code_server,
            "Dagster's webserver": dagster and dagster.webserver,
            "Dagster's daemon": dagster and dagster.daemon,
        }
        alive = {name: process is not None and process.is_alive for name, process in processes.items()}
        return {"Postgres": self._postgres.is_running, "the container engine": self._containers.is_ready(), **alive}

    def info(self) -> StackInfo | None:
        """The stack if every part of it runs, else None. Settings are those that it was started with where the caller sets none
        (settings_in_force.py)."""
        return self._known() if all(self.parts().values()) else None

    def _known(self) -> StackInfo:
        memory = Memory.load(self._file)
        return StackInfo(environment=self._environment(memory, settings_in_force(memory.settings, self._settings)))

    def running_environment(self) -> dict[str, str] | None:
        """What `media-assets env` prints; None unless every part runs."""
        info = self.info()
        return info.environment if info else None

    def environment_of_what_runs(self) -> dict[str, str] | None:
        """The same as long as the database runs, whatever else has ended."""
        return self._known().environment if self._postgres.is_running else None

    @property
    def _file(self) -> Path:
        return self._folder / "stack.json"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A lock that ends with the process that holds it, however that ends."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "stack.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackBusyError(f"another command is starting or stopping the stack in {self._folder}") from None
            yield

    def _start_database(self, migrated_by: str | None, undo: ExitStack, say: Progress) -> bool:
        """Whether it had to be started."""
        began = time.monotonic()
        start = not self._postgres.is_running
        if start:
            undo.callback(self._postgres.stop)
        self._postgres.start()
        migrate.upgrade(self._postgres.url(MEDIA_DATABASE, "psycopg"))
        self._index_embeddings()
        if migrated_by != version("dagster"):
            self._dagster.migrate(base_environment() | self._dagster_variables())
        say(f"Postgres is ready ({_seconds_since(began)})")
        return start

    def _index_embeddings(self) -> None:
        """One index a model, so the configured one's: an index that is there already costs nothing."""
        owner = create_engine(self._postgres.url(MEDIA_DATABASE, "psycopg"))
        with owner.begin() as connection:
            ensure_embedding_index(connection, self._settings.embed_model, self._settings.embed_dimensions)
        owner.dispose()

    def _start_emulator(self, memory: Memory, undo: ExitStack, say: Progress) -> bool:
        """Whether it had to be started."""
        began = time.monotonic()
        if memory.emulator and memory.emulator.is_alive and self._emulator.is_ready(memory.emulator_port or 0):
            if not self._containers.is_ready():
                undo.callback(self._containers.stop)
                self._containers.start()
            say("The AWS emulator runs already")
            return False
        self._relay.stop()  # it would find an emulator that takes everything and has no bus yet
        self._containers.stop()  # tasks of an emulator that is gone have nobody to tell how they end
        self._emulator.stop()
        undo.callback(self._emulator.stop)
        undo.callback(self._containers.stop)
        self._containers.start()
        memory.emulator_port = _choose_port("The AWS emulator", memory.emulator_port, _USUAL_EMULATOR_PORT, say)
        memory.emulator = self._emulator.start(memory.emulator_port)
        say(f"The AWS emulator is ready on {LOOPBACK}:{memory.emulator_port} ({_seconds_since(began)})")
        return True

    def _synthesize(self, say: Progress) -> Path:
        began = time.monotonic()
        assembly = synthesize(self._folder / "cdk", stage=self._settings.stage)
        say(f"The CloudFormation template is ready ({_seconds_since(began)})")
        return assembly

    def _deploy(self, memory: Memory, assembly: Path, say: Progress) -> None:
        began = time.monotonic()
        endpoint_url = self._emulator.endpoint_url(memory.emulator_port or 0)
        memory.outputs = deploy(assembly, endpoint_url=endpoint_url, stage=self._settings.stage)
        if self._settings.openai_api_key is not None:
            store_model_api_key(self._settings.openai_api_key, endpoint_url=endpoint_url, stage=self._settings.stage)
        say(f"{self._settings.cloudformation_stack_name} is deployed ({_seconds_since(began)})")

    def _import_missed_uploads(self, memory: Memory, say: Progress) -> None:
        environment = self._environment(memory)
        try:
            said = import_missed_uploads(
                self._postgres.url(MEDIA_DATABASE, "psycopg", APPLICATION_ROLE),
                environment["AWS_ENDPOINT_URL"],
                environment["MEDIA_BUCKET"],
                self._settings.first_hour,
            )
        except (BotoCoreError, ClientError) as error:
            # The emulator can't list a bucket with a key that XML can't hold, such as one with an escape character.
            said = (
                f"The bucket can't be listed ({type(error).__name__}), so uploads whose notifications were lost are not"
                " imported; delete objects with control characters in their keys, then materialize `uploads`"
            )
        if said:
            say(said)

    def _start_relay(self, memory: Memory, undo: ExitStack, *, anyway: bool) -> None:
        """What waits for a Postgres that was down waits for up to two minutes, so it is started `anyway`."""
        environment = relay_environment(self._environment(memory))
        fingerprint = self._fingerprint(environment)
        if memory.relay and memory.relay.is_alive and not anyway and memory.relay_fingerprint == fingerprint:
            return
        self._relay.stop()
        undo.callback(self._relay.stop)
        memory.relay_fingerprint = fingerprint
        memory.relay = self._relay.start(base_environment() | environment)
        memory.save(self._file)

    def _await_relay(self, memory: Memory, say: Progress) -> None:
        """It starts while Dagster does, which takes longer."""
        if memory.relay is None or memory.outputs is None:
            return
        database = create_engine(self._postgres.url(MEDIA_DATABASE, "psycopg", APPLICATION_ROLE))
        with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            self._relay.wait(memory.relay, lambda: relay_is_at_work(connection))
        database.dispose()
        say(f"The relay publishes on {memory.outputs.event_bus}")

    def _start_dagster(self, memory: Memory, undo: ExitStack, say: Progress, *, anyway: bool) -> None:
        """All of it or nothing: a run whose code server was killed has nobody who would end it."""
        began = time.monotonic()
        runs = memory.dagster is not None and memory.dagster.is_alive
        if runs and not anyway and memory.dagster_fingerprint == self._fingerprint(self._environment(memory)):
            say("Dagster runs already")
            return
        self._dagster.stop()
        undo.callback(self._dagster.stop)
        memory.dagster_port = _choose_port("Dagster", memory.dagster_port, _USUAL_DAGSTER_PORT, say)
        memory.dagster_fingerprint = self._fingerprint(self._environment(memory))
        memory.settings = self._settings.as_environment()
        memory.dagster = self._dagster.start(base_environment() | self._environment(memory), memory.dagster_port)
        memory.save(self._file)
        say(f"Dagster is ready on {LOOPBACK}:{memory.dagster_port} ({_seconds_since(began)})")

    def _fingerprint(self, environment: dict[str, str]) -> str:
        """Changes with whatever a process reads once, when it starts: its environment, its configuration, our sources."""
        told = [self._dagster.definitions, environment]
        digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
        sources = (path for folder in ("media_assets", "lambdas") for path in sorted((PROJECT / folder).rglob("*.py")))
        for path in (self._project / "dagster.yaml", *sources):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _environment(self, memory: Memory, settings: Mapping[str, str] | None = None) -> dict[str, str]:
        """With the caller's settings, unless others are given as variables."""
        endpoint_url = self._emulator.endpoint_url(memory.emulator_port or 0)
        deployed = (
            {
                "MEDIA_BUCKET": memory.outputs.bucket,
                "MEDIA_UPLOAD_QUEUE_URL": memory.outputs.upload_queue_url,
                "MEDIA_EVENT_BUS": memory.outputs.event_bus,
                "MEDIA_ANCHOR_BUCKET": memory.outputs.anchor_bucket,
                "MEDIA_CONTACT_SHEET_BASE_URL": f"{endpoint_url}/{memory.outputs.bucket}",
            }
            if memory.outputs
            else {}
        )
        return {
            "MEDIA_STAGE": self._settings.stage,
            **(self._settings.as_environment() if settings is None else settings),
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "DATABASE_URL": self._postgres.dsn(MEDIA_DATABASE, APPLICATION_ROLE),
            "MEDIA_OWNER_DATABASE_URL": self._postgres.dsn(MEDIA_DATABASE),
            "MEDIA_RELAY_DATABASE_URL": self._postgres.dsn(MEDIA_DATABASE, "media_assets_relay"),
            "MEDIA_ERASER_DATABASE_URL": self._postgres.dsn(MEDIA_DATABASE, "media_assets_eraser"),
            "MEDIA_STATE_DIR": str(self._folder),
            "DAGSTER_URL": f"http://{LOOPBACK}:{memory.dagster_port}",
            **deployed,
            **self._dagster_variables(),
            **proxy_bypass(),
        }

    def _dagster_variables(self) -> dict[str, str]:
        """What dagster.yaml refers to."""
        return {
            "DAGSTER_HOME": str(self._dagster.home),
            "DAGSTER_DATABASE_URL": self._postgres.url(DAGSTER_DATABASE, "psycopg2"),
        }


def _choose_port(name: str, remembered: int | None, usual: int, say: Progress) -> int:
    wanted = remembered or usual
    port = free_port(wanted)
    if port != wanted:
        say(f"Port {wanted} is taken; {name} gets {port}")
    return port


def _seconds_since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
