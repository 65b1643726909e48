"""A history as a tree: each event once, under the one that led to it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from media_assets.eventlog.catalogue import PayloadErased
from media_assets.eventlog.events import Event, NewEvent
from media_assets.eventlog.story import Told, tell
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.histories import histories
from tests.unit.eventlog.lives import NOON, Life

cat = Life()


def stored(*events: NewEvent) -> list[Event]:
    """As the log gives them back, in this order."""
    return [
        Event(
            **{name: getattr(event, name) for name in NewEvent.model_fields},
            position=position,
            version=position,
            type=event.payload.type,
            schema_version=event.payload.schema_version,
            recorded_at=event.occurred_at,
            payload_sha256=bytes(32),
            hash=bytes(32),
        )
        for position, event in enumerate(events, start=1)
    ]


def because(event: NewEvent, *, of: NewEvent | None, upload: NewEvent | None = None) -> NewEvent:
    """The event as one that another led to, in an upload's story."""
    return event.model_copy(
        update={"causation_id": of and of.event_id, "correlation_id": upload.event_id if upload else of and of.correlation_id}
    )


def drawn(stories: Sequence[Told]) -> list[str]:
    """A tree as indented lines."""
    return ["  " * told.depth + told.event.type + (f" {told.event.step}" if told.event.step else "") for told in stories]


def test_what_led_to_what() -> None:
    upload = cat.upload()
    probed = because(cat.probed(), of=upload)
    failed = because(cat.failed("thumbnail"), of=probed)
    thumbnails = because(cat.thumbnails(), of=failed)
    analysis = because(cat.analysis(), of=thumbnails)
    request = because(cat.reprocess("analyze"), of=analysis)
    embedding = because(cat.embedding(), of=analysis)
    anew = because(cat.analysis(generation=1), of=request)
    assert drawn(tell(stored(upload, probed, failed, thumbnails, analysis, request, embedding, anew))) == [
        "UploadReceived",
        "  MediaProbed probe",
        "    StepFailed thumbnail",
        "      ThumbnailCreated thumbnail",
        "        AnalysisCompleted analyze",
        "          ReprocessRequested analyze",
        "            AnalysisCompleted analyze",
        "          EmbeddingStored embed",
    ]


def test_each_version_of_a_key_is_a_story() -> None:
    first, second = cat.upload("v1"), cat.upload("v2")
    late = because(cat.probed("v1"), of=first)
    assert drawn(tell(stored(first, second, because(cat.probed("v2"), of=second), late))) == [
        "UploadReceived",
        "  MediaProbed probe",
        "UploadReceived",
        "  MediaProbed probe",
    ]


def test_a_cause_in_another_versions_story_is_no_place_in_this_one() -> None:
    """A generation that was asked for counts for later versions too."""
    first, second = cat.upload("v1"), cat.upload("v2")
    request = because(cat.reprocess("probe"), of=first)
    probed = because(cat.probed("v2", generation=1), of=request, upload=second)
    assert drawn(tell(stored(first, request, second, probed))) == [
        "UploadReceived",
        "  ReprocessRequested probe",
        "UploadReceived",
        "  MediaProbed probe",
    ]


def test_older_events_stand_under_their_upload() -> None:
    first, second = cat.upload("v1"), cat.upload("v2")
    traced = because(cat.probed("v1"), of=None, upload=first)
    untraced = cat.reprocess("probe")
    assert drawn(tell(stored(first, second, traced, untraced))) == [
        "UploadReceived",
        "  MediaProbed probe",
        "UploadReceived",
        "  ReprocessRequested probe",
    ]


def test_what_no_upload_began_begins_a_story() -> None:
    assert drawn(tell(stored(cat.probed(), cat.upload()))) == ["MediaProbed probe", "UploadReceived"]
    assert tell([]) == []


def test_frames_are_a_part_of_their_videos_story_and_jobs_have_their_own() -> None:
    film = Film()
    job = Job(film)
    upload = film.upload()
    probed = because(film.probed(), of=upload)
    extracted = because(film.extracted(times=(480,)), of=probed)
    [received] = film.frames_received(times=(480,))
    thumbnails = because(film.frame(480).thumbnails("f1"), of=received)
    segmented = because(job.segmented(), of=job.submitted())
    late = film.frame(480).reprocess("thumbnail")  # says neither
    video, of_frame, of_job = [upload, probed, extracted], [received, thumbnails, late], [job.submitted(), segmented]
    assert drawn(tell(stored(*video, *of_job, *of_frame))) == [
        "UploadReceived",
        "  MediaProbed probe",
        "    FramesExtracted frames",
        "      FrameReceived",
        "        ThumbnailCreated thumbnail",
        "        ReprocessRequested thumbnail",
        "JobSubmitted",
        "  VideoSegmented segment",
    ]
    assert drawn(tell(stored(*of_frame))) == [
        "FrameReceived",
        "  ThumbnailCreated thumbnail",
        "  ReprocessRequested thumbnail",
    ]
    assert drawn(tell(stored(*of_job))) == ["JobSubmitted", "  VideoSegmented segment"]


def test_time_is_since_the_cause() -> None:
    upload = cat.upload()
    probed = because(cat.probed(), of=upload).model_copy(update={"occurred_at": NOON + timedelta(seconds=3)})
    beginning, result = tell(stored(upload, probed))
    assert (beginning.after, beginning.cause) == (None, None)
    assert (result.after, result.cause) == (timedelta(seconds=3), beginning.event)


def test_erased_payloads_keep_their_place() -> None:
    upload = cat.upload()
    history = [
        event.model_copy(update={"payload": PayloadErased()}) for event in stored(upload, because(cat.probed(), of=upload))
    ]
    assert drawn(tell(history)) == ["UploadReceived", "  MediaProbed probe"]


def test_a_story_of_a_thousand_reprocessings_is_told() -> None:
    told = [cat.upload(), because(cat.analysis(), of=cat.upload())]
    for generation in range(1, 1000):
        told.append(because(cat.reprocess("analyze", generation), of=told[-1]))
        told.append(because(cat.analysis(generation=generation), of=told[-1]))
    assert max(each.depth for each in tell(stored(*told))) == 1999


@st.composite
def traced_histories(draw: st.DrawFn) -> list[Event]:
    """Anything that may be told of two items, with causes that are right, wrong, of nobody, later, or the event itself."""
    events = list({event.event_id: event for event in draw(histories())}.values())
    ids = st.sampled_from([None, uuid.UUID(int=0), *(event.event_id for event in events)])
    return stored(*(event.model_copy(update={"causation_id": draw(ids), "correlation_id": draw(ids)}) for event in events))


@settings(max_examples=40, deadline=None)
@given(traced_histories())
def test_every_event_is_told_once_below_an_earlier_one(history: list[Event]) -> None:
    stories = tell(history)
    assert sorted(told.event.position for told in stories) == [event.position for event in history]
    above: list[Event] = []  # the way from the beginning of the story down to the line
    for told in stories:
        del above[told.depth :]
        assert told.cause == (above[-1] if above else None)
        assert told.cause is None or told.cause.position < told.event.position
        assert told.event.type != "UploadReceived" or told.depth == 0
        above.append(told.event)
        assert len(above) == told.depth + 1
    siblings = [((told.cause and told.cause.position) or 0, told.event.position) for told in stories]
    assert all(
        positions == sorted(positions)
        for parent in {parent for parent, _ in siblings}
        for positions in [[position for other, position in siblings if other == parent]]
    )


@settings(max_examples=40, deadline=None)
@given(traced_histories())
def test_the_order_of_telling_is_of_the_log_and_not_of_the_list(history: list[Event]) -> None:
    assert tell(reversed(history)) == tell(history)
