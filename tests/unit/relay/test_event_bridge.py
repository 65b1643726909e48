"""What an answer of EventBridge means. Answers that its emulator can't be brought to give are told by botocore's stubber."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from media_assets.local.ports import free_port
from media_assets.relay.event_bridge import BusUnavailableError, EventBridge
from tests.unit.relay.entries import entry

TAKEN = {"EventId": "11710aed-b79e-4468-a20b-bb3c0c3b4860"}
THREE = [entry(4, "a"), entry(5, "b"), entry(7, "c")]


def refusal(code: str, message: str = "no") -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}


@pytest.fixture
def client(aws: str) -> Any:
    return boto3.client("events")


@pytest.fixture
def answers(client: Any) -> Iterator[Stubber]:
    """What the next calls are answered."""
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def put_answer(answers: Stubber, *entries: dict[str, str]) -> None:
    failed = sum("ErrorCode" in each for each in entries)
    answers.add_response("put_events", {"FailedEntryCount": failed, "Entries": list(entries)}, {"Entries": ANY})


def test_entries_are_sent_as_they_are(client: Any, answers: Stubber) -> None:
    one = entry(4, detail='{"a": 1}')
    sent = {
        "Time": one.occurred_at,
        "Source": "media-assets",
        "DetailType": "ImageProcessed",
        "Detail": '{"a": 1}',
        "EventBusName": "bus",
    }
    answers.add_response("put_events", {"FailedEntryCount": 0, "Entries": [TAKEN]}, {"Entries": [sent]})
    assert EventBridge(client, "bus").put([one]) == {}


def test_a_refused_entry_is_named_by_its_position(client: Any, answers: Stubber) -> None:
    put_answer(answers, TAKEN, refusal("MalformedDetail", "not JSON"), TAKEN)
    assert EventBridge(client, "bus").put(THREE) == {5: "MalformedDetail: not JSON"}


def test_an_answer_without_an_id_is_no_receipt(client: Any, answers: Stubber) -> None:
    put_answer(answers, TAKEN, {}, {"EventId": ""})
    assert EventBridge(client, "bus").put(THREE) == {5: "no EventId: ", 7: "no EventId: "}


@pytest.mark.parametrize("entries", [[], [TAKEN, TAKEN], [TAKEN] * 4])
def test_an_answer_of_another_length_says_nothing_of_any(client: Any, answers: Stubber, entries: list[Any]) -> None:
    put_answer(answers, *entries)
    with pytest.raises(BusUnavailableError, match=f"answered {len(entries)} entries of 3"):
        EventBridge(client, "bus").put(THREE)


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalFailure"])
def test_what_passes_is_nobodys_fault_if_it_meets_all(client: Any, answers: Stubber, code: str) -> None:
    put_answer(answers, *[refusal(code)] * 3)
    with pytest.raises(BusUnavailableError, match=code):
        EventBridge(client, "bus").put(THREE)

    put_answer(answers, refusal(code), TAKEN, TAKEN)
    assert EventBridge(client, "bus").put(THREE) == {4: f"{code}: no"}


def test_entries_that_are_all_refused_for_their_own_sake_are(client: Any, answers: Stubber) -> None:
    put_answer(answers, *[refusal("MalformedDetail")] * 3)
    assert EventBridge(client, "bus").put(THREE).keys() == {4, 5, 7}


@pytest.mark.parametrize(
    ("code", "status"),
    [("ThrottlingException", 400), ("AccessDeniedException", 400), ("ExpiredTokenException", 400), ("InternalException", 500),
     ("ServiceUnavailable", 503)],
)  # fmt: skip
def test_a_call_that_fails_is_an_outage(client: Any, answers: Stubber, code: str, status: int) -> None:
    answers.add_client_error("put_events", code, "later", status)
    with pytest.raises(BusUnavailableError, match=code):
        EventBridge(client, "bus").put(THREE)


@pytest.mark.parametrize(("code", "status"), [("ValidationException", 400), ("Unknown", 413)])
def test_a_call_that_is_refused_for_one_entry_is_repeated_entry_by_entry(
    client: Any, answers: Stubber, code: str, status: int
) -> None:
    answers.add_client_error("put_events", code, "too large", status)
    put_answer(answers, TAKEN)
    answers.add_client_error("put_events", code, "too large", status)
    put_answer(answers, refusal("MalformedDetail"))
    refused = EventBridge(client, "bus").put(THREE)
    assert refused.keys() == {5, 7}
    assert "too large" in refused[5]


def test_a_bus_that_nobody_listens_for_is_unavailable(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(BusUnavailableError, match="Could not connect"):
        EventBridge.connect("bus").put(THREE)
