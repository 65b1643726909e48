"""ECS on one machine: tasks that the emulator runs on the container engine, seen through the AWS API alone."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import boto3
import docker
import psutil
import pytest
from dagster import DagsterRunStatus, job
from dagster._core.test_utils import instance_for_test

from media_assets.local.container_engine import ContainerEngine
from media_assets.local.emulator import CREDENTIALS, REGION, WORKER_THREADS, Emulator
from media_assets.local.orphaned_tasks import stop_orphaned_tasks
from media_assets.local.ports import free_port
from media_assets.local.processes import MARK, marked
from tests.waiting import eventually

LOG_GROUP = "/ecs/tasks"
CLUSTER = "workers"
FOREVER = "while :; do sleep 0.05; done"


@cache
def aws_client(service: Any, port: int) -> Any:
    session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"], region_name=REGION)
    return session.client(service, endpoint_url=Emulator.endpoint_url(port))


@dataclass
class Machine:
    """An emulator with a container engine, and what a client of AWS does with them."""

    engine: ContainerEngine
    emulator: Emulator
    port: int

    def client(self, service: str) -> Any:
        return aws_client(service, self.port)

    def run(self, *command: str, task: dict[str, Any] | None = None, started_by: str = "", **container: Any) -> str:
        """Register a task definition with one container and run it; the task's ARN."""
        log_options = {"awslogs-group": LOG_GROUP, "awslogs-region": REGION, "awslogs-stream-prefix": "worker"}
        definition = {
            "name": "main",
            "image": "media-assets",
            "command": [*command],
            "logConfiguration": {"logDriver": "awslogs", "options": log_options},
            **container,
        }
        fargate = {"networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512"}
        ecs = self.client("ecs")
        registered = ecs.register_task_definition(family="task", containerDefinitions=[definition], **fargate, **(task or {}))
        arn = registered["taskDefinition"]["taskDefinitionArn"]
        answer = ecs.run_task(cluster=CLUSTER, taskDefinition=arn, launchType="FARGATE", startedBy=started_by)
        assert answer["failures"] == []
        return str(answer["tasks"][0]["taskArn"])

    def describe(self, task: str) -> Any:
        (described,) = self.client("ecs").describe_tasks(cluster=CLUSTER, tasks=[task])["tasks"]
        return described

    def when(self, task: str, status: str) -> Any:
        return eventually(lambda: (told := self.describe(task))["lastStatus"] == status and told)

    def ended(self, task: str) -> tuple[str, int | None]:
        """Stop code and the container's exit code, once the task has stopped."""
        told = self.when(task, "STOPPED")
        return told["stopCode"], told["containers"][0].get("exitCode")

    def log(self, task: str) -> list[str]:
        stream = f"worker/main/{task.rsplit('/', 1)[1]}"
        logs = self.client("logs")
        try:
            return [event["message"] for event in logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream)["events"]]
        except logs.exceptions.ResourceNotFoundException:
            return []

    def says(self, task: str, line: str) -> None:
        eventually(lambda: line in self.log(task))

    def process(self, task: str) -> psutil.Process:
        """The first process of a task that runs."""
        client = docker.DockerClient(base_url=self.engine.docker_host)
        (container,) = client.containers.list(filters={"label": f"com.amazonaws.ecs.task-arn={task}"})
        client.close()
        return psutil.Process(container.attrs["State"]["Pid"])


def of_containers(engine: ContainerEngine) -> list[psutil.Process]:
    """Living processes of the engine's containers."""
    return [process for process in psutil.process_iter() if mark_of(process).startswith(f"container:{engine.folder}/")]


def mark_of(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "") if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("ecs")
    engine = ContainerEngine(folder / "ecs", folder / "engine.log")
    emulator = Emulator(folder / "emulator", folder / "emulator.log", engine.docker_host)
    machine = Machine(engine, emulator, free_port())
    try:
        engine.start()
        emulator.start(machine.port)
        machine.client("logs").create_log_group(logGroupName=LOG_GROUP)
        machine.client("ecs").create_cluster(clusterName=CLUSTER)
        yield machine
    finally:
        engine.stop()
        emulator.stop()
    assert of_containers(engine) == []
    assert [*engine.folder.iterdir()] == []


@pytest.mark.parametrize("code", [0, 3])
def test_a_task_stops_with_its_commands_exit_code(machine: Machine, code: int) -> None:
    task = machine.run("sh", "-c", f"exit {code}")
    assert machine.ended(task) == ("EssentialContainerExited", code)


def test_lines_of_a_task_are_events_in_its_log_stream(machine: Machine) -> None:
    task = machine.run("sh", "-c", "echo eins; echo zwölf; echo err >&2; printf 'no break'")
    machine.ended(task)
    eventually(lambda: len(machine.log(task)) == 4)
    assert [line for line in machine.log(task) if line != "err"] == ["eins", "zwölf", "no break"]


def test_a_task_gets_its_environment_its_secret_and_the_way_to_aws_and_nothing_of_ours(machine: Machine) -> None:
    secret = machine.client("secretsmanager").create_secret(Name="model-key", SecretString=json.dumps({"key": "s3cret"}))["ARN"]
    machine.client("s3").create_bucket(Bucket="results")
    report = dedent("""
        import boto3, json, os
        boto3.client("s3").put_object(Bucket="results", Key="environment", Body=json.dumps({**os.environ}))
    """)
    task = machine.run(
        *("-c", report),
        entryPoint=["python"],
        environment=[{"name": "STEP", "value": "detect"}],
        secrets=[{"name": "MODEL_KEY", "valueFrom": f"{secret}:key::"}],
    )

    assert machine.ended(task) == ("EssentialContainerExited", 0), machine.log(task)

    environment = json.load(machine.client("s3").get_object(Bucket="results", Key="environment")["Body"])
    assert environment.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"  # Python's own
    assert (environment["STEP"], environment["MODEL_KEY"]) == ("detect", "s3cret")
    assert environment.keys() == {
        *("STEP", "MODEL_KEY", "PATH", "HOME", "TMPDIR", "HOSTNAME", MARK),
        *("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "ECS_CONTAINER_METADATA_URI_V4"),
        *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        *WORKER_THREADS,
    }


def test_a_stopped_task_has_its_grace_period(machine: Machine) -> None:
    task = machine.run("sh", "-c", f"trap 'echo bye; exit 0' TERM; echo up; {FOREVER}")
    machine.says(task, "up")
    process = machine.process(task)

    machine.client("ecs").stop_task(cluster=CLUSTER, task=task, reason="enough")

    assert not process.is_running()
    told = machine.describe(task)
    assert (told["lastStatus"], told["stopCode"], told["stoppedReason"]) == ("STOPPED", "UserInitiated", "enough")
    machine.says(task, "bye")


def test_a_task_that_does_not_stop_is_killed_after_the_definitions_grace_period(machine: Machine) -> None:
    task = machine.run("sh", "-c", f"trap 'echo no' TERM; echo up; {FOREVER}", stopTimeout=2)
    machine.says(task, "up")
    process = machine.process(task)
    began = time.monotonic()

    machine.client("ecs").stop_task(cluster=CLUSTER, task=task)

    assert 2 <= time.monotonic() - began < 3
    assert not process.is_running()
    machine.says(task, "no")


def test_a_task_killed_from_outside_stops_with_137_and_what_it_wrote_to_its_disk_is_gone(machine: Machine) -> None:
    task = machine.run(
        *("sh", "-c", f'echo half > "$TMPDIR/segment.mp4"; echo written; {FOREVER}'),
        task={"ephemeralStorage": {"sizeInGiB": 50}, "volumes": [{"name": "scratch"}]},
        mountPoints=[{"sourceVolume": "scratch", "containerPath": "/tmp", "readOnly": False}],
        readonlyRootFilesystem=True,
    )
    machine.says(task, "written")
    process = machine.process(task)
    written = Path(process.environ()["TMPDIR"], "segment.mp4")
    assert written.read_text() == "half\n"

    process.kill()

    assert machine.ended(task) == ("EssentialContainerExited", 137)
    assert not written.parent.exists()


def test_a_task_out_of_memory_stops_with_137_and_its_log_says_why(machine: Machine) -> None:
    task = machine.run("python", "-c", "import time; x = b'x' * (300 << 20); time.sleep(600)", memory=150)
    assert machine.ended(task) == ("EssentialContainerExited", 137)
    eventually(lambda: machine.log(task))
    assert machine.log(task)[-1].startswith("OutOfMemoryError: Container killed due to memory usage: ")


def test_two_tasks_run_at_once_and_one_ends_without_the_other(machine: Machine) -> None:
    first = machine.run("sh", "-c", f"trap 'exit 5' TERM; echo up; {FOREVER}")
    second = machine.run("sh", "-c", f"echo up; {FOREVER}")
    for task in (first, second):
        machine.says(task, "up")
    machine.process(first).terminate()
    assert machine.ended(first) == ("EssentialContainerExited", 5)
    assert machine.describe(second)["lastStatus"] == "RUNNING"
    assert machine.client("ecs").list_tasks(cluster=CLUSTER)["taskArns"] == [second]
    machine.process(second).kill()
    assert machine.ended(second)[1] == 137


@pytest.mark.parametrize("platform", [{}, {"runtimePlatform": {"cpuArchitecture": "X86_64"}}])
def test_a_task_that_can_not_start_says_why_and_has_no_exit_code(machine: Machine, platform: dict[str, Any]) -> None:
    task = machine.run("no-such-command", task=platform)
    assert machine.ended(task) == ("TaskFailedToStart", None)
    assert 'exec: "no-such-command": executable file not found in $PATH' in machine.describe(task)["stoppedReason"]


def test_a_task_whose_secret_is_not_there_is_not_started(machine: Machine) -> None:
    arn = f"arn:aws:secretsmanager:{REGION}:000000000000:secret:no-such-secret-abcdef"
    task = machine.run("true", secrets=[{"name": "KEY", "valueFrom": arn}])
    assert machine.ended(task) == ("TaskFailedToStart", None)
    assert "ResourceInitializationError: unable to pull secrets" in machine.describe(task)["stoppedReason"]


def test_tasks_of_a_killed_engine_have_stopped_once_it_runs_again(machine: Machine) -> None:
    task = machine.run("sh", "-c", f"echo up; {FOREVER}")
    machine.says(task, "up")
    (server,) = marked(f"container-engine:{machine.engine.folder}")
    server.kill()
    lost = machine.run("true")
    assert machine.ended(lost) == ("TaskFailedToStart", None)
    assert machine.describe(task)["lastStatus"] == "RUNNING"  # nobody knows better

    machine.engine.start()

    assert machine.ended(task) == ("EssentialContainerExited", 137)
    assert of_containers(machine.engine) == []
    assert machine.ended(machine.run("true")) == ("EssentialContainerExited", 0)


def test_tasks_of_runs_that_are_over_are_stopped_and_no_others(machine: Machine) -> None:
    @job
    def a_job() -> None: ...

    with instance_for_test(overrides={"telemetry": {"enabled": False}}) as instance:
        over, at_work = (
            instance.create_run_for_job(a_job, status=status).run_id
            for status in (DagsterRunStatus.FAILURE, DagsterRunStatus.STARTED)
        )
        orphans = [machine.run("sleep", "600", started_by=over) for _ in range(2)]
        others = [machine.run("sleep", "600", started_by=starter) for starter in (at_work, "", "a person")]
        for task in [*orphans, *others]:
            machine.when(task, "RUNNING")
        processes = [machine.process(task) for task in orphans]

        assert sorted(stop_orphaned_tasks(instance, machine.client("ecs"), CLUSTER)) == sorted(orphans)

        assert not [process for process in processes if process.is_running()]
        assert {machine.describe(task)["stoppedReason"] for task in orphans} == {"the run that started this task has ended"}
        assert {machine.describe(task)["lastStatus"] for task in others} == {"RUNNING"}
        assert stop_orphaned_tasks(instance, machine.client("ecs"), CLUSTER) == []
    for task in others:
        machine.client("ecs").stop_task(cluster=CLUSTER, task=task)


def test_nobody_listens_to_the_network(machine: Machine) -> None:
    task = machine.run("sleep", "600")
    machine.when(task, "RUNNING")
    everybody = [process for process in psutil.process_iter() if str(machine.engine.folder.parent) in mark_of(process)]
    assert len(everybody) == 3
    connections = [connection for process in everybody for connection in process.net_connections("inet")]
    assert {each.laddr.ip for each in connections if each.status == "LISTEN"} == {"127.0.0.1"}
    machine.client("ecs").stop_task(cluster=CLUSTER, task=task)
