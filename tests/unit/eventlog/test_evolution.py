"""Guarantee 7: no event changes without a new schema version, an upcast from the one before, and a golden file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import ClassVar, Literal

import pytest
from pydantic import ConfigDict, Field, create_model

from media_assets.eventlog.catalogue import CATALOGUE, MediaProbed, Payload, Thumbnail, ThumbnailCreated
from tests.unit.eventlog.golden_files import Golden, golden, schema_of

UPCAST = files("media_assets.eventlog").joinpath("upcast.sql").read_text()


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
    kind: Literal["image", "video", "sound"]  # type: ignore[assignment]


class NullAllowed(MediaProbed):
    format: str | None  # type: ignore[assignment]


class ExtrasAllowed(MediaProbed):
    model_config = ConfigDict(extra="allow")


FieldRemoved = create_model(
    "FieldRemoved",
    __base__=Payload,
    **{name: (field.annotation, field) for name, field in MediaProbed.model_fields.items() if name != "frames"},  # type: ignore[call-overload]
)
FieldRemoved.type, FieldRemoved.schema_version = "MediaProbed", MediaProbed.schema_version


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
    file = f"golden/{changed.type}.v{changed.schema_version}.json"
    assert problems == [f"{changed.type} isn't what {file} says: raise its schema_version"]


def test_a_raised_version_needs_its_golden_file_and_its_step() -> None:
    class Changed(MediaProbed):
        schema_version: ClassVar[int] = 3
        camera: str = ""

    catalogue = CATALOGUE | {"MediaProbed": Changed}
    missing = unnoticed_changes(catalogue, golden(), UPCAST)
    assert len(missing) == 3
    assert missing[0] == "upcast.sql has no step for MediaProbed from version 2 to 3"
    assert missing[1].startswith("golden/MediaProbed.v3.json is missing; its schema: {")
    file = {("MediaProbed", 3): {"schema": schema_of(Changed)}}
    step = "WHEN type = 'MediaProbed' AND schema_version = 2 THEN upcast(type, 3, body || '{\"camera\": \"\"}')"
    assert unnoticed_changes(catalogue, golden() | file, UPCAST) == missing[:1]
    assert unnoticed_changes(catalogue, golden(), UPCAST + step) == missing[1:]
    assert unnoticed_changes(catalogue, golden() | file, UPCAST + step) == []
    assert unnoticed_changes(CATALOGUE, golden() | file, UPCAST) == ["MediaProbed has been of a higher schema_version than 2"]


def test_a_type_that_was_written_stays_in_the_catalogue() -> None:
    rest = {name: payload for name, payload in CATALOGUE.items() if name != "UploadRemoved"}
    assert unnoticed_changes(rest, golden(), UPCAST) == ["UploadRemoved was written once and is in no catalogue"]


def test_words_may_change() -> None:
    class Explained(MediaProbed):
        """The header was measured, and how."""

        width: int = Field(gt=0, title="Width", description="in pixels")

    assert unnoticed_changes(CATALOGUE | {"MediaProbed": Explained}, golden(), UPCAST) == []
