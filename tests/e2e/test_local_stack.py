"""The one-machine stack comes up from any state, and goes down without a trace."""

from __future__ import annotations

import fcntl
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import psutil
import psycopg
import pytest

from media_assets.cli.connection import not_running
from media_assets.local.loopback_http import answers, post_json
from media_assets.local.memory import Memory
from media_assets.local.processes import ProcessDiedError, marked, wait_gone
from media_assets.local.stack import Stack, StackBusyError, StackInfo
from media_assets.settings import Settings

SLOW_DEFINITIONS = """
import time
from dagster import Definitions, asset, in_process_executor

@asset
def slow() -> None:
    time.sleep(600)

defs = Definitions(assets=[slow], executor=in_process_executor)
"""
LAUNCH = """mutation { launchRun(executionParams: {selector: {
    repositoryLocationName: "media-assets", repositoryName: "__repository__", jobName: "__ASSET_JOB",
    assetSelection: [{path: ["slow"]}]
}}) { ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(state_dir=tmp_path_factory.mktemp("stack"))


@pytest.fixture(scope="module")
def stack(settings: Settings) -> Iterator[Stack]:
    """Up or down, as the test before left it."""
    stack = Stack(settings)
    yield stack
    stack.down()


def processes(settings: Settings) -> list[psutil.Process]:
    """Every process of the stack and what they started."""
    folder = settings.state_dir
    marks = (f"{name}:{folder / name}" for name in ("postgres", "emulator", "relay", "dagster"))
    found = [process for mark in marks for process in marked(mark)]
    for process in tuple(found):
        with suppress(psutil.NoSuchProcess):
            found += process.children(recursive=True)
    return found


def listening_addresses(settings: Settings) -> set[str]:
    found = set()
    for process in processes(settings):
        with suppress(psutil.NoSuchProcess):  # Postgres' own come and go
            found |= {each.laddr.ip for each in process.net_connections("inet") if each.status == "LISTEN"}
    return found


def kill(victims: list[psutil.Process]) -> None:
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()


def s3(info: StackInfo) -> Any:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL")
    key, secret, region, endpoint_url = (info.environment[name] for name in names)
    session = boto3.Session(key, secret, region_name=region)
    return session.client("s3", endpoint_url=endpoint_url)


def count(info: StackInfo, table: str) -> int:
    with psycopg.connect(info.environment["DATABASE_URL"]) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


def test_up_listens_on_loopback_only_and_down_leaves_no_process(stack: Stack, settings: Settings) -> None:
    assert stack.info() is None
    said: list[str] = []

    info = stack.up(said.append)

    assert info.emulator_was_restarted
    assert said
    assert stack.running_environment() == info.environment
    assert listening_addresses(settings) == {"127.0.0.1"}
    assert answers(f"{info.environment['DAGSTER_URL']}/server_info")
    assert s3(info).head_bucket(Bucket=info.environment["MEDIA_BUCKET"])

    stack.down()

    assert processes(settings) == []
    assert stack.info() is None
    assert "is not running" in not_running(settings)
    stack.down()  # once more does no harm


def test_up_keeps_what_runs(stack: Stack, settings: Settings) -> None:
    first = stack.up()
    before = Memory.load(settings.state_dir / "stack.json")
    began = time.monotonic()

    second = Stack(settings).up()

    assert time.monotonic() - began < 5
    assert second.environment == first.environment
    assert not second.emulator_was_restarted
    after = Memory.load(settings.state_dir / "stack.json")
    assert (after.emulator, after.relay, after.dagster) == (before.emulator, before.relay, before.dagster)


def test_up_heals_a_stack_that_was_killed_and_loses_no_upload(stack: Stack, settings: Settings) -> None:
    first = stack.up()
    kill(marked(f"dagster:{settings.state_dir / 'dagster'}"))  # nobody reads the queue any more
    s3(first).put_object(Bucket=first.environment["MEDIA_BUCKET"], Key="uploads/me/a.jpg", Body=b"not a photo")
    kill(processes(settings))  # and the queue is gone

    second = stack.up()

    assert second.emulator_was_restarted
    assert second.environment == first.environment
    assert count(second, "items") == 1


@pytest.mark.parametrize(
    ("part", "name"),
    [("postgres", "Postgres"), ("emulator", "the AWS emulator"), ("relay", "the relay"), ("dagster", "Dagster's code server")],
)
def test_up_heals_a_stack_that_lost_one_part(stack: Stack, settings: Settings, part: str, name: str) -> None:
    first = stack.up()
    # The first that was made: others may be its children, and process numbers start over.
    victims = sorted(marked(f"{part}:{settings.state_dir / part}"), key=lambda process: process.create_time())[:1]
    kill(victims)
    wait_gone(victims, 5)
    assert stack.info() is None
    assert [each for each, runs in stack.parts().items() if not runs] == [name]
    assert f"{name} ended" in not_running(settings)

    second = stack.up()

    assert stack.running_environment() == second.environment == first.environment
    memory = Memory.load(settings.state_dir / "stack.json")
    assert memory.relay is not None
    assert memory.emulator is not None
    # The emulator takes events for a bus that it doesn't have: the relay must never meet one that was just started.
    assert memory.relay.started > memory.emulator.started


def test_a_port_that_is_taken_is_replaced_and_said(stack: Stack) -> None:
    before = stack.up().environment["DAGSTER_URL"]
    stack.down()
    said: list[str] = []
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", int(before.rsplit(":", 1)[1])))
        taken.listen()
        after = stack.up(said.append).environment["DAGSTER_URL"]
    assert after != before
    assert any("is taken" in line for line in said)


def test_a_failing_part_leaves_nothing_running(stack: Stack, settings: Settings) -> None:
    stack.down()
    with pytest.raises(ProcessDiedError, match="no_such_definitions"):
        Stack(settings, definitions="no_such_definitions").up()
    assert processes(settings) == []


def test_only_one_command_at_a_time(settings: Settings) -> None:
    with (settings.state_dir / "stack.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(StackBusyError):
            Stack(settings).up()


def test_settings_are_those_it_was_started_with_and_budgets_whatever_a_shell_says(stack: Stack, settings: Settings) -> None:
    paid = Stack(settings.model_copy(update={"daily_budget_dollars": Decimal("0.01"), "segment_crf": 30}))
    environment = paid.up().environment
    assert (environment["MEDIA_DAILY_BUDGET_DOLLARS"], environment["MEDIA_SEGMENT_CRF"]) == ("0.01", "30")
    assert stack.running_environment() == environment
    info = stack.up()
    assert info.budgets_before.daily_budget_dollars == Decimal("0.01")
    assert paid.running_environment() == info.environment | {"MEDIA_SEGMENT_CRF": "30"}
    assert "MEDIA_DAILY_BUDGET_DOLLARS" not in info.environment


def test_a_run_that_was_killed_with_everything_is_ended_when_dagster_comes_back(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "slow_definitions.py").write_text(SLOW_DEFINITIONS)
    (tmp_path / "dagster.yaml").write_text(Path("dagster.yaml").read_text())
    stack = Stack(settings, definitions="slow_definitions", project=tmp_path)
    try:
        graphql = f"{stack.up().environment['DAGSTER_URL']}/graphql"
        run_id = post_json(graphql, {"query": LAUNCH})["data"]["launchRun"]["run"]["runId"]
        status = f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ status }} }} }}'
        while post_json(graphql, {"query": status})["data"]["runOrError"]["status"] != "STARTED":
            time.sleep(0.2)
        kill(processes(settings))

        stack.up()

        assert post_json(graphql, {"query": status})["data"]["runOrError"]["status"] == "FAILURE"
    finally:
        stack.down()
    assert processes(settings) == []
