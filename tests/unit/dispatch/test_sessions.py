"""Messages of a batch: whose fault it is when one can't be taken."""

from __future__ import annotations

from typing import Any

import pytest
from dagster import build_asset_context
from dagster._core.pipes.context import PipesMessageHandler
from sqlalchemy.exc import OperationalError

from media_assets.dispatch.errors import ManifestError
from media_assets.dispatch.sessions import AnswerMessageReader
from media_assets.dispatch.targets import OnProgress


def progress(**told: Any) -> dict[str, Any]:
    return {"method": "report_custom_message", "params": {"payload": {"progress": told}}}


def consume(on_progress: OnProgress, *messages: dict[str, Any]) -> AnswerMessageReader:
    reader = AnswerMessageReader(on_progress)
    with reader.read_messages(PipesMessageHandler(build_asset_context(), reader)):
        reader.consume(messages)
    return reader


def test_what_is_told_of_progress_is_heard_in_its_order() -> None:
    heard: list[tuple[str, int]] = []
    reader = consume(lambda *told: heard.append(told), progress(item_id="a", percent=10), progress(item_id="b", percent=20))
    assert heard == [("a", 10), ("b", 20)]
    assert reader.heard == 2


@pytest.mark.parametrize(
    "message",
    [progress(percent=10), progress(item_id="a", percent="many"), {"method": "report_custom_message"}, {"method": "celebrate"}],
)
def test_a_message_that_is_none_is_the_workers_lie(message: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="message of a kind that Pipes doesn't have"):
        consume(lambda item_id, percent: None, message)


def test_what_goes_wrong_with_whoever_hears_of_it_is_not() -> None:
    gone = OperationalError("INSERT", {}, ConnectionError("the database is gone"))

    def store(item_id: str, percent: int) -> None:
        raise gone

    with pytest.raises(OperationalError) as raised:
        consume(store, progress(item_id="a", percent=10))
    assert raised.value is gone
