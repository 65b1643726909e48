"""Sends entries to an EventBridge bus and says which of them it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from media_assets.eventlog.published import Entry
from media_assets.relay.batching import SOURCE

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef, PutEventsResultEntryTypeDef

Put = Callable[[Sequence[Entry]], dict[int, str]]
"""Sends entries, at most one of a stream. Returns what was said against those that were refused, by position.
Raises BusUnavailableError: then any of them may have been taken, or none."""

_PASSING = {"ThrottlingException", "InternalFailure"}
"""EventBridge API Reference, PutEventsResultEntry: the codes that say nothing about an entry."""
_OF_AN_ENTRY = {"ValidationException", "SerializationException", "RequestEntityTooLargeException", "413"}
"""A call is refused with one of these because of what is in it. All others (credentials, throttling, 5xx) would meet any."""
_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 1})
"""Who is asked to end during a call ends within 13 s. Trying again is the relay's business."""


class BusUnavailableError(Exception):
    """The bus can't be reached, answers with an error of its own, or takes nothing for now. The text says what happened."""


class EventBridge:
    """`bus` is a name or an ARN."""

    def __init__(self, client: EventBridgeClient, bus: str) -> None:
        self._client = client
        self._bus = bus

    @classmethod
    def connect(cls, bus: str) -> EventBridge:
        """With the credentials and the region of the environment."""
        return cls(boto3.client("events", config=_CONFIG), bus)

    def put(self, entries: Sequence[Entry]) -> dict[int, str]:
        """A `Put`. A call that is refused for something in it is repeated entry by entry, so that one can't block the rest."""
        try:
            answer = self._client.put_events(Entries=[self._request(entry) for entry in entries])
        except ClientError as error:
            if _code(error) not in _OF_AN_ENTRY:
                raise BusUnavailableError(str(error)) from error
            if len(entries) == 1:
                return {entries[0].position: str(error)}
            return {position: said for entry in entries for position, said in self.put([entry]).items()}
        except BotoCoreError as error:
            raise BusUnavailableError(str(error)) from error
        return _refused(entries, answer["Entries"])

    def _request(self, entry: Entry) -> PutEventsRequestEntryTypeDef:
        return {
            "Time": entry.occurred_at,
            "Source": SOURCE,
            "DetailType": entry.detail_type,
            "Detail": entry.detail,
            "EventBusName": self._bus,
        }


def _refused(entries: Sequence[Entry], answers: Sequence[PutEventsResultEntryTypeDef]) -> dict[int, str]:
    """Answers come in the order of the entries; one without an EventId was not taken."""
    if len(answers) != len(entries):
        raise BusUnavailableError(f"EventBridge answered {len(answers)} entries of {len(entries)}")
    refused = {
        entry.position: (answer.get("ErrorCode", "no EventId"), answer.get("ErrorMessage", ""))
        for entry, answer in zip(entries, answers, strict=True)
        if not answer.get("EventId")
    }
    if len(refused) == len(entries) and {code for code, _ in refused.values()} <= _PASSING:
        code, message = next(iter(refused.values()))
        raise BusUnavailableError(f"every entry was refused: {code}: {message}")
    return {position: f"{code}: {message}" for position, (code, message) in refused.items()}


def _code(error: ClientError) -> str:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return "413" if status == 413 else error.response["Error"]["Code"]
