"""A consumer's rule receives what is published, each kind of it, in order within a stream."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from media_assets.eventlog.outbox import outbox_lag
from media_assets.eventlog.store import EventStore
from media_assets.relay.service import Stop
from media_assets.settings import Settings
from tests.conftest import Database
from tests.contract.outbox.conftest import ALL, Consumer, Zygote, eventually, relay
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import Life
from tests.unit.relay.conftest import erase

FILM = Film()
CUT, TOO_LONG = Job(FILM, "cut"), Job(FILM, "too long")
CAT, DOG, EMU = Life("cat.jpg"), Life("dog.jpg"), Life("emu.jpg")


class Meddler:
    """A client of EventBridge that sends some entries so that EventBridge itself refuses them: from AWS's own source."""

    def __init__(self, client: Any, *streams: Life) -> None:
        self._client = client
        self.refused = {str(life.item_id) for life in streams}

    def put_events(self, Entries: list[dict[str, Any]]) -> Any:
        def meddled(entry: dict[str, Any]) -> dict[str, Any]:
            return {**entry, "Source": "aws.media"} if any(item in entry["Detail"] for item in self.refused) else entry

        return self._client.put_events(Entries=[meddled(entry) for entry in Entries])


def everything_is_published(store: EventStore) -> bool:
    with store.engine.connect() as connection:
        return outbox_lag(connection).events == 0


def heard(messages: list[dict[str, Any]]) -> dict[str, list[str]]:
    """Detail types by item, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for message in messages:
        found[message["detail"]["item_id"]].append(message["detail-type"])
    return dict(found)


def test_every_detail_type_reaches_a_consumers_rule(database: Database, settings: Settings, consumer: Consumer) -> None:
    once = relay(settings, consumer.events, consumer)
    database.store.append([*CAT.done(), DOG.upload(), DOG.rejected(code="too_large")])
    database.store.append([FILM.upload(), FILM.probed(), FILM.segmented()])
    database.store.append([CUT.submitted(), CUT.segmented(), CUT.completed(), TOO_LONG.submitted(), TOO_LONG.failed()])
    once.run_once(Stop())
    erase(database, CAT)
    once.run_once(Stop())

    messages = consumer.messages()
    assert {message["detail-type"] for message in messages} == set(ALL)
    assert {message["source"] for message in messages} == {"media-assets"}
    assert heard(messages) == {
        str(CAT.item_id): ["ImageProcessed", "AnalysisComplete", "EmbeddingStored", "DetectionsCompleted", "ItemErased"],
        str(DOG.item_id): ["UploadRejected"],
        str(FILM.item_id): ["VideoSegmented", "VideoSegmented", "JobCompleted", "JobFailed"],
    }
    assert messages[0]["detail"]["original_key"] == "cat.jpg"
    jobs = {message["detail-type"]: message["detail"]["job_id"] for message in messages if "job_id" in message["detail"]}
    assert jobs == dict.fromkeys(("VideoSegmented", "JobCompleted"), str(CUT.job_id)) | {"JobFailed": str(TOO_LONG.job_id)}


def test_a_rule_for_some_kinds_gets_those(aws_endpoint: str, database: Database, settings: Settings) -> None:
    consumer = Consumer(aws_endpoint, "AnalysisComplete")
    database.store.append([*CAT.done(), *DOG.done()])
    relay(settings, consumer.events, consumer).run_once(Stop())
    assert [message["detail-type"] for message in consumer.messages()] == ["AnalysisComplete"] * 2


def test_an_entry_that_eventbridge_refuses_holds_back_its_stream_alone(
    store: EventStore, settings: Settings, consumer: Consumer
) -> None:
    client = Meddler(consumer.events, DOG)
    store.append([life.thumbnails() for life in (CAT, DOG, EMU)])
    store.append([life.analysis() for life in (CAT, DOG, EMU)])
    left = relay(settings, client, consumer).run_once(Stop())
    assert left.held == 2
    assert heard(consumer.messages()).keys() == {str(CAT.item_id), str(EMU.item_id)}
    with store.engine.connect() as connection:
        assert outbox_lag(connection).held == 2

    client.refused.clear()
    time.sleep(0.05)  # its next attempt is due
    relay(settings, client, consumer).run_once(Stop())
    assert heard(consumer.messages()) == {str(DOG.item_id): ["ImageProcessed", "AnalysisComplete"]}


def test_two_relays_at_once_publish_each_event_once(store: EventStore, zygote: Zygote, consumer: Consumer) -> None:
    for _ in range(2):
        zygote.start()
    lives = [Life(f"{number}.jpg") for number in range(20)]
    for make in (Life.thumbnails, Life.analysis, Life.embedding):
        store.append([make(life) for life in lives])
    eventually(lambda: everything_is_published(store))
    messages = consumer.messages()
    assert len(messages) == 60
    assert heard(messages) == {str(life.item_id): ["ImageProcessed", "AnalysisComplete", "EmbeddingStored"] for life in lives}


def test_the_command_publishes_until_sigterm_and_ends_well(
    store: EventStore, environment: dict[str, str], consumer: Consumer
) -> None:
    store.append(CAT.done())
    command = Path(sys.executable).with_name("media-assets")
    process = subprocess.Popen([command, "relay"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        eventually(lambda: everything_is_published(store))
        process.send_signal(signal.SIGTERM)
        said, logged = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert said == "published 4 events: 1 AnalysisComplete, 1 DetectionsCompleted, 1 EmbeddingStored, 1 ImageProcessed\n"
    assert logged.rstrip().endswith(f"publishing on {consumer.bus}")
    assert len(consumer.messages()) == 4
