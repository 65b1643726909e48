"""A function that takes long is invoked once.

boto3 waits 60 s for an answer and then asks again, up to four times: five functions run, and five bills are paid.
"""

from __future__ import annotations

import time
from typing import Any

from dagster import AssetExecutionContext

from media_assets.defs.resource import MediaResource
from media_assets.dispatch.drain import Invoke
from media_assets.dispatch.lambda_pipes import LambdaBatchClient
from tests.contract.pipes.conftest import MARKS, PROBED, Machine

SLOW = (
    PROBED
    + MARKS
    + """
import time
from lambdas.runtime.entrypoint import lambda_handler
from lambdas.runtime.step import StepResult

def process(item, context):
    mark(item)
    time.sleep(2.5)
    return StepResult(PROBED)

handler = lambda_handler("probe", process)
"""
)


class ImpatientMedia(MediaResource):
    """Waits for answers for one second, as production does for 910."""

    def invoker(self, context: AssetExecutionContext, step: str) -> Invoke:
        client = LambdaBatchClient.connect(read_timeout_seconds=1, connections=1)
        return lambda request: client.run(context, self.settings.function_name(step), request)


def test_a_function_slower_than_the_read_timeout_is_invoked_exactly_once(machine: Machine) -> None:
    machine.deploy(SLOW)
    machine.upload("a.jpg")
    began = time.monotonic()
    run = machine.run(media=ImpatientMedia())
    assert time.monotonic() - began < 2.5  # nobody tried again
    assert run.failure is not None
    assert run.failure.startswith("TargetUnavailableError")
    assert "ReadTimeoutError" in run.failure
    time.sleep(3)  # until it has ended, and time for a second one to begin
    assert machine.marked("a.jpg") == 1
    assert machine.failures() == {}
    assert machine.breaker() is not None

    machine.let_time_pass()
    assert machine.run().failure is None  # with the patience that production has
    assert machine.marked("a.jpg") == 2
    assert machine.counts().done == 1


def test_the_client_waits_longer_than_any_function_may_run_and_asks_once(machine: Machine) -> None:
    settings = MediaResource().settings
    assert settings.invoke_timeout_seconds > 900
    client = LambdaBatchClient.connect(read_timeout_seconds=settings.invoke_timeout_seconds, connections=2)
    config: Any = client._client.meta.config
    assert config.read_timeout == settings.invoke_timeout_seconds
    assert config.retries["total_max_attempts"] == 1
    assert config.tcp_keepalive is True
