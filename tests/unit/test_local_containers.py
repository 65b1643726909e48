"""A container that is a process lives, ends and talks as Docker's client expects of one, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
from docker.errors import APIError, NotFound

from media_assets.local.container_engine import ContainerEngine
from media_assets.local.containers.engine import all_hold
from media_assets.local.containers.output import STDERR, STDOUT, Line, Output
from media_assets.local.emulator import WORKER_NICENESS, WORKER_THREADS
from media_assets.local.processes import MARK, marked
from tests import waiting

Run = Callable[..., Any]
MIB = 1024 * 1024


def of_engine(engine: ContainerEngine) -> list[psutil.Process]:
    """Every living process of the engine and of its containers."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "") if process.status() != psutil.STATUS_ZOMBIE else ""
        except psutil.Error:
            continue
        if mark.endswith(f":{engine.folder}") or f":{engine.folder}/" in mark:
            found.append(process)
    return found


eventually = partial(waiting.eventually, seconds=10)


def pid_of(container: Any) -> int:
    container.reload()
    return int(container.attrs["State"]["Pid"])


def kill_server(engine: ContainerEngine) -> None:
    (server,) = marked(f"container-engine:{engine.folder}")
    server.kill()


def make_engine(folder: Path) -> ContainerEngine:
    return ContainerEngine(folder / "ecs", folder / "engine.log")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerEngine]:
    engine = make_engine(tmp_path_factory.mktemp("engine"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def run(engine: ContainerEngine) -> Iterator[Run]:
    """`docker run --detach`; what it started is removed afterwards."""
    client = docker.DockerClient(base_url=engine.docker_host, timeout=10)

    def run(*command: str, **options: Any) -> Any:
        return client.containers.run("any/image", list(command), detach=True, **options)

    yield run
    for container in client.containers.list(all=True):
        container.remove(force=True)
    client.close()
    assert [*(engine.folder / "containers").iterdir()] == []


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
)  # fmt: skip
def test_a_container_ends_with_its_commands_exit_code(run: Run, script: str, code: int) -> None:
    container = run("sh", "-c", script)
    assert container.wait()["StatusCode"] == code
    container.reload()
    state = container.attrs["State"]
    assert (state["Status"], state["ExitCode"], state["Running"], state["OOMKilled"]) == ("exited", code, False, False)
    assert "2" < container.attrs["Created"] <= state["StartedAt"] <= state["FinishedAt"]


def test_output_comes_as_whole_lines_of_two_streams(run: Run) -> None:
    container = run("sh", "-c", "printf o; echo err >&2; sleep 0.1; printf 'ne\\ntwo\\nthree'")
    container.wait()
    assert container.logs(stderr=False) == b"one\ntwo\nthree"
    assert container.logs(stdout=False) == b"err\n"
    assert sorted(container.logs(stream=True)) == [b"err\n", b"one\n", b"three", b"two\n"]
    assert container.logs(stderr=False, tail=2) == b"two\nthree"
    written, text = container.logs(stdout=False, timestamps=True).decode().split()
    assert text == "err"
    container.reload()
    assert container.attrs["Created"] < written < container.attrs["State"]["FinishedAt"]


def test_who_follows_the_output_gets_each_line_when_it_is_written(run: Run) -> None:
    container = run("sh", "-c", "echo début; until [ -e go ]; do sleep 0.05; done; printf fin")
    following = container.logs(stream=True, follow=True)
    assert next(following).decode() == "début\n"
    Path(psutil.Process(pid_of(container)).cwd(), "go").touch()
    assert [*following] == [b"fin"]


def test_the_process_has_a_folder_of_its_own_an_environment_of_its_own_and_gives_way_to_others(run: Run) -> None:
    container = run("sleep", "600", environment={"A": "b=c", "URL": "http://host.docker.internal:1"})
    process = psutil.Process(pid_of(container))
    environment, folder = process.environ(), Path(process.cwd())
    assert environment.keys() == {"PATH", "HOME", "TMPDIR", "HOSTNAME", "A", "URL", MARK, *WORKER_THREADS}
    assert (environment["A"], environment["URL"]) == ("b=c", "http://127.0.0.1:1")
    assert environment["HOME"] == environment["TMPDIR"] == str(folder)
    assert process.nice() == WORKER_NICENESS
    (folder / "here").touch()
    container.stop()
    assert not folder.exists()


def test_python_is_the_projects(run: Run) -> None:
    container = run("python", "-c", "import media_assets, sys; print(sys.prefix)")
    assert container.wait()["StatusCode"] == 0
    assert Path(container.logs().decode().strip()) == Path(sys.prefix)


def test_stop_leaves_a_process_its_grace_period_and_then_kills_it(run: Run) -> None:
    polite = run("sh", "-c", "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done")
    stubborn = run("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    for container in (polite, stubborn):
        eventually(container.logs)
    polite.stop(timeout=10)
    began = time.monotonic()
    stubborn.stop(timeout=1)
    assert 1 <= time.monotonic() - began < 2
    assert (polite.wait()["StatusCode"], stubborn.wait()["StatusCode"]) == (7, 137)
    assert polite.logs() == b"up\nbye\n"


@pytest.mark.parametrize("end", ["exit", "kill", "stop"])
def test_no_descendant_outlives_a_container(run: Run, engine: ContainerEngine, end: str) -> None:
    leaves_the_session = "import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
    container = run("sh", "-c", f"sleep 600 & python -c '{leaves_the_session}'; echo up; until [ -e go ]; do sleep 0.05; done")
    eventually(container.logs)
    eventually(lambda: len(of_engine(engine)) >= 4)  # the one that leaves has forked twice by then
    if end == "exit":
        Path(psutil.Process(pid_of(container)).cwd(), "go").touch()
    else:
        getattr(container, end)()
    assert container.wait()["StatusCode"] == {"exit": 0, "kill": 137, "stop": 143}[end]
    assert len(of_engine(engine)) == 1


def test_a_command_that_is_not_there_is_refused_as_docker_does_and_its_name_is_free_again(run: Run) -> None:
    for _ in range(2):
        with pytest.raises(APIError, match=r'400 .*exec: "no-such-command": executable file not found in \$PATH'):
            run("no-such-command", name="lost")
    with pytest.raises(APIError, match=r"400 .*no command specified; image any/image isn't read"):
        run()


def test_a_container_that_needs_more_than_its_memory_is_killed_and_says_so(run: Run) -> None:
    hog = "import time; x = b'x' * (300 << 20); time.sleep(600)"
    container = run("sh", "-c", f'python -c "{hog}"; echo never', mem_limit=150 * MIB)
    assert container.wait()["StatusCode"] == 137
    container.reload()
    assert container.attrs["State"]["OOMKilled"] is True
    assert container.logs().startswith(b"OutOfMemoryError: Container killed due to memory usage: ")
    assert container.logs().endswith(b" MiB of 150 MiB\n")


def test_what_is_only_reserved_is_not_used(run: Run) -> None:
    container = run("python", "-c", "import mmap, time; m = mmap.mmap(-1, 8 << 30); time.sleep(0.5)", mem_limit=150 * MIB)
    assert container.wait()["StatusCode"] == 0


def test_a_running_container_is_removed_by_force_only(run: Run, engine: ContainerEngine) -> None:
    container = run("sleep", "600", name="busy")
    with pytest.raises(APIError, match="409"):
        container.remove()
    with pytest.raises(APIError, match=r'409 .*The container name "/busy" is already in use'):
        run("true", name="busy")
    container.remove(force=True)
    with pytest.raises(NotFound, match="No such container"):
        container.reload()
    assert len(of_engine(engine)) == 1


def test_containers_are_found_by_label_name_and_start_of_id(run: Run) -> None:
    old, new = run("true", labels={"colour": "red"}), run("sleep", "600", labels={"colour": "blue"}, name="here")
    old.wait()
    containers = new.client.containers
    assert [each.id for each in containers.list()] == [new.id]
    assert [each.id for each in containers.list(all=True)] == [new.id, old.id]
    assert [each.id for each in containers.list(all=True, filters={"label": ["colour=red"]})] == [old.id]
    assert containers.get("here").id == containers.get(new.id[:10]).id == new.id
    with pytest.raises(APIError, match=r"400 .*invalid filter"):
        containers.list(filters={"ancestor": "any/image"})


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [([], True), (["a"], True), (["a=1"], True), (["a=2"], False), (["a=1", "b"], False), (["b="], False), (["c="], True)],
)  # fmt: skip
def test_a_label_filter_is_a_name_or_a_name_with_a_value(wanted: list[str], holds: bool) -> None:
    assert all_hold(wanted, {"a": "1", "c": ""}) is holds


def test_a_line_longer_than_an_event_of_cloudwatch_is_cut_and_no_character_of_others_is(tmp_path: Path) -> None:
    async def lines() -> list[Line]:
        output = Output(tmp_path / "output")
        output.write(STDOUT, "é".encode()[:1])
        output.write(STDERR, b"x" * 600_000)
        output.write(STDOUT, "é".encode()[1:] + b"\n")
        output.close()
        return [line async for line in output.lines(follow=True)]

    told = asyncio.run(lines())
    assert [len(line.text) for line in told if line.stream == STDERR] == [262_144, 262_144, 75_712]
    assert [line.text for line in told if line.stream == STDOUT] == ["é\n"]
    assert told[-1].frame(timestamps=False)[:8] == b"\x02\0\0\0" + (75_712).to_bytes(4, "big")


def test_a_killed_engine_ends_its_containers_when_it_starts_again(tmp_path: Path) -> None:
    engine = make_engine(tmp_path)
    try:
        engine.start()
        client = docker.DockerClient(base_url=engine.docker_host, timeout=10)
        running = client.containers.run("any", ["sh", "-c", "sleep 600 & echo up; wait"], detach=True)
        done = client.containers.run("any", ["sh", "-c", "echo done; exit 3"], detach=True)
        done.wait()
        never_started = client.containers.create("any", ["true"])
        eventually(running.logs)
        kill_server(engine)
        assert len(of_engine(engine)) >= 2

        engine.start()

        assert len(of_engine(engine)) == 1
        for container, code, output in ((running, 137, b"up\n"), (done, 3, b"done\n")):
            assert container.wait()["StatusCode"] == code
            assert container.logs() == output
        running.reload()
        assert running.attrs["State"]["Error"] == "the container engine was killed"
        with pytest.raises(NotFound):
            never_started.reload()
    finally:
        engine.stop()


@pytest.mark.parametrize("killed_before", [False, True])
def test_nothing_survives_stop(tmp_path: Path, killed_before: bool) -> None:
    engine = make_engine(tmp_path)
    try:
        engine.start()
        client = docker.DockerClient(base_url=engine.docker_host, timeout=10)
        container = client.containers.run("any", ["sh", "-c", "trap '' TERM; echo up; sleep 600"], detach=True)
        eventually(container.logs)
        follower = container.logs(stream=True, follow=True)  # must not hold it up
        assert next(follower) == b"up\n"
        assert all(not process.net_connections("inet") for process in of_engine(engine))
        if killed_before:
            kill_server(engine)
    finally:
        engine.stop()
    assert of_engine(engine) == []
    assert [*engine.folder.iterdir()] == []
    assert not engine.is_ready()
    engine.stop()


def test_an_engine_that_runs_is_kept(engine: ContainerEngine, run: Run) -> None:
    container = run("sleep", "600")
    engine.start()
    assert pid_of(container) in {process.pid for process in of_engine(engine)}


def test_only_its_user_may_use_it(engine: ContainerEngine) -> None:
    socket = Path(engine.docker_host.removeprefix("unix://"))
    for folder in (socket.parent, engine.folder / "containers"):
        assert folder.stat().st_mode & 0o777 == 0o700
