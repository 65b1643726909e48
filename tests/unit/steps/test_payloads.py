"""From a remote step's outcome to the event that is appended, and from earlier results to what a step is given."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from lambdas.runtime.contract import ItemOutcome, OutputObject
from media_assets.eventlog.catalogue import AnalysisCompleted, EmbeddingStored, MediaProbed, ThumbnailCreated, VideoInfo
from media_assets.eventlog.store import EventStore
from media_assets.steps.catalogue import STEPS
from media_assets.steps.claims import Claims
from media_assets.steps.embed import text_of
from media_assets.steps.step import Recipe, Work
from tests.unit.eventlog.lives import HOUR, Life

ANALYSIS_ID = uuid.uuid4()


def work(step: str, **fields: Any) -> Work:
    return Work(
        item_id=uuid.UUID(int=7),
        user_id="ada",
        bucket="photos",
        key="uploads/ada/cat.jpg",
        version_id="v1",
        size_bytes=1000,
        pixels=0,
        hour=datetime(2026, 7, 1, 12, tzinfo=UTC),
        step=step,
        generation=2,
        failures=0,
        attempt=1,
        **fields,
    )


def outcome(result: dict[str, Any], *outputs: OutputObject) -> ItemOutcome:
    return ItemOutcome(item_id=str(uuid.UUID(int=7)), result=result, outputs=outputs)


PROBED = {
    "kind": "image",
    "format": "jpeg",
    "content_type": "image/jpeg",
    "width": 40,
    "height": 30,
    "orientation": 6,
    "upright_width": 30,
    "upright_height": 40,
    "exif": {"camera_make": "Acme"},
}


def test_a_probe_is_recorded_upright() -> None:
    payload = STEPS["probe"].payload(work("probe"), outcome(PROBED))
    assert payload == MediaProbed(
        version_id="v1",
        kind="image",
        format="jpeg",
        content_type="image/jpeg",
        width=30,
        height=40,
        orientation=6,
        frames=1,
        exif={"camera_make": "Acme"},
    )


def test_a_video_is_recorded_with_what_only_videos_have() -> None:
    video = {
        "duration_ms": 2000,
        "frame_rate": 29.97,
        "variable_frame_rate": False,
        "codec": "h264",
        "bit_depth": 8,
        "hdr": False,
        "rotation": 90,
        "sample_aspect_ratio": [4, 3],
        "video_tracks": 1,
        "audio": [{"codec": "aac", "channels": 2, "sample_rate_hz": 48000, "language": None}],
    }
    facts = PROBED | {"kind": "video", "format": "mp4", "content_type": "video/mp4", "orientation": 1, "video": video}
    payload = STEPS["probe"].payload(work("probe"), outcome(facts))
    assert isinstance(payload, MediaProbed)
    assert (payload.kind, payload.format, payload.width, payload.height) == ("video", "mp4", 30, 40)
    assert payload.video == VideoInfo.model_validate(video)


def test_thumbnails_are_recorded_with_their_digests() -> None:
    picture = OutputObject(
        key="derived/256.webp",
        sha256="a" * 64,
        size_bytes=9,
        content_type="image/webp",
        attributes={"size": 256, "width": 30, "height": 40},
    )
    payload = STEPS["thumbnail"].payload(work("thumbnail"), outcome({"placeholder": "3OcR"}, picture))
    assert isinstance(payload, ThumbnailCreated)
    [thumbnail] = payload.thumbnails
    assert thumbnail.model_dump() == {
        "key": "derived/256.webp",
        "sha256": "a" * 64,
        "size_bytes": 9,
        "content_type": "image/webp",
        "size": 256,
        "width": 30,
        "height": 40,
    }


def test_an_analysis_is_recorded_with_who_said_it() -> None:
    said = Life().analysis().payload
    assert isinstance(said, AnalysisCompleted)
    result = {"provider": "local", "model": "sight", "analysis": said.analysis}
    assert STEPS["analyze"].payload(work("analyze"), outcome(result)) == said


def test_an_embedding_is_recorded_with_the_analysis_it_is_of() -> None:
    result = {"model": "meaning", "dimensions": 2, "vector": [0.6, 0.8]}
    payload = STEPS["embed"].payload(work("embed", input={"text": "A cat.", "analysis_id": str(ANALYSIS_ID)}), outcome(result))
    assert payload == EmbeddingStored(
        version_id="v1", analysis_id=ANALYSIS_ID, model="meaning", dimensions=2, vector=(0.6, 0.8)
    )


@pytest.mark.parametrize(
    ("step", "result"),
    [
        ("probe", {}),
        ("probe", PROBED | {"kind": "spreadsheet"}),
        ("probe", PROBED | {"upright_width": 0}),
        ("probe", PROBED | {"orientation": 9}),
        ("probe", PROBED | {"kind": "video"}),
        ("thumbnail", {}),
        ("thumbnail", {"placeholder": "3OcR"}),  # without a single picture
        ("analyze", {"provider": "local", "model": "sight"}),
        ("analyze", {"provider": "local", "model": "sight", "analysis": {"summary": "A cat."}}),
        ("embed", {"model": "meaning", "dimensions": 3, "vector": [0.6, 0.8]}),
        ("embed", {"model": "meaning", "dimensions": 2, "vector": [0.6, 0.6]}),
        ("embed", {"model": "meaning", "dimensions": 2, "vector": [float("nan"), 0.0]}),
        ("embed", {"model": "meaning", "dimensions": 0, "vector": []}),
    ],
)
def test_nonsense_is_no_result(step: str, result: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, KeyError, ValueError)):
        STEPS[step].payload(work(step, input={"analysis_id": str(ANALYSIS_ID)}), outcome(result))


def test_a_batch_item_says_where_its_objects_go() -> None:
    recipe = Recipe("thumbnail", 1, {})
    item = work("thumbnail").batch_item(recipe)
    assert item.output_prefix == f"derived/{uuid.UUID(int=7)}/thumbnail/{recipe.digest}/v1/2/"


def test_the_analysis_is_given_the_thumbnails_of_the_current_version(store: EventStore) -> None:
    cat = Life()
    store.append([*cat.done("v1"), cat.upload("v2"), cat.probed("v2", width=77), cat.thumbnails("v2", sizes=[256])])
    [given] = Claims(store.engine, run_id=None, lease_seconds=30).take(STEPS["analyze"], [HOUR], 10)
    assert given.input == {
        "thumbnails": {"256": "derived/v2/r1/0/256.webp"},
        "width": 77,
        "height": 30,
        "exif": {},
    }
    assert (given.version_id, given.pixels) == ("v2", 77 * 30)


def test_the_embedding_is_given_what_the_analysis_says(store: EventStore) -> None:
    cat = Life()
    analysis = cat.analysis(summary="A cat on a mat.", objects=[{"caption": "mat"}, {"caption": "mat"}], text=["WELCOME"])
    store.append([cat.upload(), cat.probed(), cat.thumbnails(), analysis])
    [given] = Claims(store.engine, run_id=None, lease_seconds=30).take(STEPS["embed"], [HOUR], 10)
    assert given.input == {"text": "A cat on a mat.\ncat\nanimal\nmat\nWELCOME", "analysis_id": str(analysis.event_id)}


def test_the_text_of_an_analysis_leaves_out_what_it_does_not_say() -> None:
    empty = {"summary": "A cat.", "tags": [], "category": "animal", "objects": [], "text": []}
    assert text_of(empty) == "A cat.\nanimal"
