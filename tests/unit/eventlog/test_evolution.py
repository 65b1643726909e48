"""Guarantee 7: what was written once stays readable, and an event doesn't change without anybody noticing.

`golden/<type>.v<version>.json` has a stored body of every version that was ever written, and the JSON schema of the version
when it was the newest one. The bodies of one type tell the same fact. A file that is there is never changed: a payload that
changes gets the next version, its file, and a step in upcast.sql from the version before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import ConfigDict, Field, ValidationError, create_model
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from media_assets.eventlog.catalogue import CATALOGUE, ItemErased, MediaProbed, Payload, Thumbnail, ThumbnailCreated
from media_assets.eventlog.errors import FutureSchemaError, UnknownEventTypeError
from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.migrate import upgrade
from media_assets.eventlog.replay import digest
from media_assets.eventlog.store import EventStore
from media_assets.eventlog.stored import new_row
from tests.conftest import Database
from tests.unit.eventlog.lives import Life, rows, spending_resumed, spending_stopped

GOLDEN = Path(__file__).parent / "golden"
UPCAST = files("media_assets.eventlog").joinpath("upcast.sql").read_text()

cat = Life()
MAKERS = {
    event.payload.type: event
    for event in (
        *cat.done(),
        cat.rejected(),
        cat.removed(),
        cat.failed("analyze"),
        cat.abandoned("analyze"),
        cat.reprocess("analyze"),
        cat.erased(),
        spending_stopped(),
        spending_resumed(0),
    )
}
"""An event of each type, for the columns beside its body."""

Golden = Mapping[tuple[str, int], Mapping[str, Any]]


def golden() -> Golden:
    """{(type, version): {"body": …, "schema": …}}"""
    found = {}
    for file in GOLDEN.iterdir():
        name, version = file.name.removesuffix(".json").split(".v")
        found[name, int(version)] = json.loads(file.read_text())
    return found


EVER_WRITTEN = sorted(golden())


def schema_of(payload: type[Payload]) -> dict[str, Any]:
    """What a payload can be, without the words that explain it."""

    def plain(value: Any) -> Any:
        match value:
            case dict():
                is_prose = {name for name in ("title", "description") if isinstance(value.get(name), str)}
                return {name: plain(each) for name, each in value.items() if name not in is_prose}
            case list():
                return [plain(each) for each in value]
            case _:
                return value

    schema: dict[str, Any] = plain(payload.model_json_schema())
    return schema


def unnoticed_changes(catalogue: Mapping[str, type[Payload]], golden: Golden, upcast: str) -> list[str]:
    """What is missing for the catalogue to be readable, a sentence each."""
    found = [f"{name} was written once and is in no catalogue" for name in {name for name, _ in golden} - catalogue.keys()]
    for name, payload in catalogue.items():
        newest = payload.schema_version
        for version in range(1, newest + 1):
            if (name, version) not in golden:
                found.append(f"golden/{name}.v{version}.json is missing; its schema: {json.dumps(schema_of(payload))}")
            step = rf"WHEN type = '{name}' AND schema_version = {version} THEN upcast\(type, {version + 1}, "
            if version < newest and not re.search(step, upcast):
                found.append(f"upcast.sql has no step for {name} from version {version} to {version + 1}")
        if golden.get((name, newest), {}).get("schema") != schema_of(payload):
            found.append(f"{name} isn't what golden/{name}.v{newest}.json says: raise its schema_version")
        if any(type == name and version > newest for type, version in golden):
            found.append(f"{name} has been of a higher schema_version than {newest}")
    return found


def test_no_event_changes_without_a_version_a_step_and_a_golden_file() -> None:
    assert unnoticed_changes(CATALOGUE, golden(), UPCAST) == []


class FieldAdded(MediaProbed):
    camera: str = ""


class RequiredFieldAdded(MediaProbed):
    camera: str


class TypeChanged(MediaProbed):
    width: float = Field(gt=0)


class DefaultChanged(MediaProbed):
    frames: int = Field(default=2, ge=1)


class DefaultGone(MediaProbed):
    frames: int = Field(ge=1)


class BoundChanged(MediaProbed):
    orientation: int = Field(ge=0, le=8)


class ChoiceAdded(MediaProbed):
    kind: Literal["image", "video"]  # type: ignore[assignment]


class NullAllowed(MediaProbed):
    format: str | None  # type: ignore[assignment]


class ExtrasAllowed(MediaProbed):
    model_config = ConfigDict(extra="allow")


FieldRemoved = create_model(
    "FieldRemoved",
    __base__=Payload,
    **{name: (field.annotation, field) for name, field in MediaProbed.model_fields.items() if name != "frames"},  # type: ignore[call-overload]
)
FieldRemoved.type = "MediaProbed"


class AnimatedThumbnail(Thumbnail):
    frames: int = 1


class PartChanged(ThumbnailCreated):
    thumbnails: tuple[AnimatedThumbnail, ...] = Field(min_length=1)


@pytest.mark.parametrize(
    "changed",
    [
        FieldAdded,
        RequiredFieldAdded,
        FieldRemoved,
        TypeChanged,
        DefaultChanged,
        DefaultGone,
        BoundChanged,
        ChoiceAdded,
        NullAllowed,
        ExtrasAllowed,
        PartChanged,
    ],
)
def test_a_changed_model_is_found_out(changed: type[Payload]) -> None:
    problems = unnoticed_changes(CATALOGUE | {changed.type: changed}, golden(), UPCAST)
    assert problems == [f"{changed.type} isn't what golden/{changed.type}.v1.json says: raise its schema_version"]


def test_a_raised_version_needs_its_golden_file_and_its_step() -> None:
    class Changed(MediaProbed):
        schema_version: ClassVar[int] = 2
        camera: str = ""

    catalogue = CATALOGUE | {"MediaProbed": Changed}
    missing = unnoticed_changes(catalogue, golden(), UPCAST)
    assert len(missing) == 3
    assert missing[0] == "upcast.sql has no step for MediaProbed from version 1 to 2"
    assert missing[1].startswith("golden/MediaProbed.v2.json is missing; its schema: {")
    file = {("MediaProbed", 2): {"schema": schema_of(Changed)}}
    step = "WHEN type = 'MediaProbed' AND schema_version = 1 THEN upcast(type, 2, body || '{\"camera\": \"\"}')"
    assert unnoticed_changes(catalogue, golden() | file, UPCAST) == missing[:1]
    assert unnoticed_changes(catalogue, golden(), UPCAST + step) == missing[1:]
    assert unnoticed_changes(catalogue, golden() | file, UPCAST + step) == []
    assert unnoticed_changes(CATALOGUE, golden() | file, UPCAST) == ["MediaProbed has been of a higher schema_version than 1"]


def test_a_type_that_was_written_stays_in_the_catalogue() -> None:
    rest = {name: payload for name, payload in CATALOGUE.items() if name != "UploadRemoved"}
    assert unnoticed_changes(rest, golden(), UPCAST) == ["UploadRemoved was written once and is in no catalogue"]


def test_words_may_change() -> None:
    class Explained(MediaProbed):
        """The header was measured, and how."""

        width: int = Field(gt=0, title="Width", description="in pixels")

    assert unnoticed_changes(CATALOGUE | {"MediaProbed": Explained}, golden(), UPCAST) == []


# Every version ever written, through the real store


def raw(event: NewEvent, **changed: Any) -> dict[str, Any]:
    """An event as JSON, as any code may have sent it."""
    return new_row(event) | changed


def append_raw(connection: Connection, *batch: dict[str, Any]) -> None:
    """As code of another version would."""
    function = "erase_items" if batch[0]["type"] == ItemErased.type else "append_events"
    connection.execute(text(f"SELECT {function}(CAST(:batch AS jsonb))"), {"batch": json.dumps(batch)})


@pytest.mark.parametrize(("name", "version"), EVER_WRITTEN)
def test_what_was_written_once_reads_as_of_today(store: EventStore, owner: Connection, name: str, version: int) -> None:
    newest = golden()[name, CATALOGUE[name].schema_version]["body"]
    append_raw(owner, raw(MAKERS[name], body=golden()[name, version]["body"], schema_version=version))
    owner.commit()
    [event] = store.since(0)
    assert (event.type, event.schema_version) == (name, version)
    assert event.payload == CATALOGUE[name].model_validate(newest)
    assert rows(store, "SELECT body FROM told") == [{"body": newest}]


@pytest.mark.parametrize(
    ("name", "version"), [(name, version) for name, version in EVER_WRITTEN if version < CATALOGUE[name].schema_version]
)
def test_what_was_written_once_folds_as_of_today(owner: Connection, name: str, version: int) -> None:
    newest = CATALOGUE[name].schema_version
    digests = []
    for number in (version, newest):
        append_raw(owner, raw(cat.upload()), *[raw(event) for event in cat.processed()])
        before = digest(owner, "public")
        append_raw(owner, raw(MAKERS[name], body=golden()[name, number]["body"], schema_version=number))
        digests.append(digest(owner, "public"))
        assert digests[-1] != before
        owner.rollback()
    assert digests[0] == digests[1]


# Code that is older than the log


@pytest.fixture
def newer_log(database: Database, owner: Connection) -> Database:
    """A log to which newer code has written: a type and a version that this code doesn't know."""
    newer = [("FramesExtracted", 1), ("MediaProbed", 2)]
    for name, version in newer:
        owner.execute(
            text(
                "INSERT INTO event_types VALUES (:type, :version)"
                " ON CONFLICT (type) DO UPDATE SET schema_version = excluded.schema_version"
            ),
            {"type": name, "version": version},
        )
    append_raw(
        owner,
        raw(cat.upload()),
        raw(cat.probed(), schema_version=2, body={"version_id": "v1", "measured": {"width": 4}}),
        raw(Life("dog").upload()),
        raw(Life("dog").reprocess("frames"), type="FramesExtracted", body={"frames": 7}),
    )
    owner.commit()
    return database


def test_what_newer_code_has_written_is_named_and_the_rest_is_read(newer_log: Database) -> None:
    store = newer_log.store
    with pytest.raises(FutureSchemaError) as future:
        store.stream(cat.stream_id)
    assert future.value == FutureSchemaError("MediaProbed", 2, 1)
    assert "upgrade what reads" in str(future.value)
    with pytest.raises(UnknownEventTypeError) as unknown:
        store.since(2)
    assert unknown.value == UnknownEventTypeError("FramesExtracted")
    with pytest.raises(FutureSchemaError):
        list(store.all())
    assert [event.position for event in store.since(0, limit=1)] == [1]
    assert store.head() == 4


def test_older_code_goes_on_beside_newer_code_and_forgets_no_type_of_it(newer_log: Database, owner: Connection) -> None:
    upgrade(newer_log.owner_url)
    append_raw(owner, raw(Life("cow").reprocess("frames"), type="FramesExtracted", body={"frames": 7}))
    owner.commit()
    assert newer_log.store.append([Life("cow").upload(), Life("cow").probed()])[1].position == 7


# What nobody should have sent


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("event_id", "x"),
        ("event_id", None),
        ("stream_id", None),
        ("user_id", ""),
        ("user_id", None),
        ("schema_version", 0),
        ("schema_version", None),
        ("schema_version", 2),
        ("type", None),
        ("type", "MediaMelted"),
        ("occurred_at", "noon"),
        ("occurred_at", None),
        ("body", None),
        ("generation", -1),
        ("micro_dollars", -1),
        ("milliseconds", None),
        ("item_id", "cat"),
    ],
)
def test_a_malformed_row_is_refused_whoever_made_it_and_nothing_is_written(
    database: Database, owner: Connection, field: str, wrong: object
) -> None:
    with database.store.engine.connect() as connection:
        with pytest.raises(DBAPIError):
            append_raw(connection, raw(cat.upload()), raw(cat.probed(), **{field: wrong}))
        connection.commit()
    assert rows(owner, "SELECT * FROM events") == rows(owner, "SELECT * FROM items") == []


@pytest.mark.parametrize(("name", "field"), [("StepAbandoned", "failures"), ("MediaProbed", "content_type")])
def test_a_body_that_is_not_what_its_type_says_is_read_as_an_error_that_names_the_field(
    store: EventStore, owner: Connection, name: str, field: str
) -> None:
    """The log checks no bodies; the models that make and read them do."""
    body = {key: value for key, value in golden()[name, 1]["body"].items() if key != field}
    append_raw(owner, raw(MAKERS[name], body=body))
    owner.commit()
    with pytest.raises(ValidationError, match=field):
        store.since(0)
