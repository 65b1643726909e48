"""The structured analysis of a picture: one shape for every provider, for the event log and for the model's answer.

A hosted model is held to `strict_json_schema()`, which has the fields and types but not the limits (few endpoints know
them); `Analysis.model_validate` then enforces the limits on whatever came back.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

MAX_TAGS = 20
MAX_SUMMARY_CHARACTERS = 500


class Category(StrEnum):
    """What a picture is mainly of. The list is closed; `OTHER` is for what fits nowhere."""

    PEOPLE = "people"
    ANIMAL = "animal"
    FOOD = "food"
    PLANT = "plant"
    VEHICLE = "vehicle"
    BUILDING = "building"
    LANDSCAPE = "landscape"
    FURNITURE = "furniture"
    ELECTRONICS = "electronics"
    CLOTHING = "clothing"
    DOCUMENT = "document"
    ARTWORK = "artwork"
    SPORTS = "sports"
    HOUSEHOLD = "household"
    OTHER = "other"


_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
_Tag = Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True, min_length=1, max_length=60)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BoundingBox(_Frozen):
    """A rectangle in pixels of the upright original; (x, y) is its top left corner."""

    x: int = Field(ge=0, description="left edge in pixels")
    y: int = Field(ge=0, description="top edge in pixels")
    width: int = Field(ge=1, description="width in pixels")
    height: int = Field(ge=1, description="height in pixels")

    @classmethod
    def clamped(
        cls, left: float, top: float, right: float, bottom: float, image_width: int, image_height: int
    ) -> BoundingBox | None:
        """The box from edges in pixels, cut to the image and rounded; None if nothing of it lies inside."""
        x0, x1 = (min(max(round(edge), 0), image_width) for edge in (left, right))
        y0, y1 = (min(max(round(edge), 0), image_height) for edge in (top, bottom))
        if x1 <= x0 or y1 <= y0:
            return None
        return cls(x=x0, y=y0, width=x1 - x0, height=y1 - y0)


class DetectedObject(_Frozen):
    """One thing in the picture, as an entry of a home inventory would name it."""

    caption: _Line = Field(description="name of the object, two or three words")
    description: _Line = Field(description="one sentence about this object")
    category: _Tag = Field(description="kind of object, one or two lower-case words")
    estimated_value: float | None = Field(ge=0, description="resale value in US dollars; null if it can't be judged")
    confidence: float = Field(ge=0, le=1, description="0 to 1")
    bounding_box: BoundingBox | None = Field(description="where the object is; null if unknown")


class DominantColour(_Frozen):
    """A colour that covers `share` (0–1) of the picture. `name` is a basic colour term."""

    hex: str = Field(pattern=r"^#[0-9a-f]{6}$", description="#rrggbb, lower case")
    name: _Tag = Field(description="basic colour term such as brown or light blue")
    share: float = Field(ge=0, le=1, description="part of the picture that it covers, 0 to 1")


class Analysis(_Frozen):
    """What a provider says about one picture. `text` is what is written in the picture, a line an entry."""

    category: Category = Field(description="what the picture is mainly of")
    summary: str = Field(min_length=1, max_length=MAX_SUMMARY_CHARACTERS, description="one or two sentences")
    tags: tuple[_Tag, ...] = Field(max_length=MAX_TAGS, description="up to 20 lower-case search terms")
    objects: tuple[DetectedObject, ...] = Field(max_length=100, description="the things in the picture")
    text: tuple[_Line, ...] = Field(max_length=200, description="text in the picture, a line an entry; [] if none")
    dominant_colours: tuple[DominantColour, ...] = Field(max_length=10, description="largest share first")

    @field_validator("tags")
    @classmethod
    def _tags_once(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(tags))


def strict_json_schema() -> dict[str, Any]:
    """The JSON schema of `Analysis` for a model's strict structured output.

    Every property is required, no object takes others, nullable is `anyOf` with null, references are inlined, and only
    keywords that every strict mode knows are left: limits such as maxLength are refused by some endpoints.
    """
    schema = Analysis.model_json_schema()
    definitions: dict[str, Any] = schema.pop("$defs")

    def strict(node: dict[str, Any]) -> dict[str, Any]:
        if "$ref" in node:
            node = definitions[node["$ref"].rpartition("/")[2]] | {k: v for k, v in node.items() if k != "$ref"}
        kept: dict[str, Any] = {key: node[key] for key in ("type", "enum", "description") if key in node}
        if "anyOf" in node:
            kept["anyOf"] = [strict(choice) for choice in node["anyOf"]]
        if "items" in node:
            kept["items"] = strict(node["items"])
        if "properties" in node:
            kept["properties"] = {name: strict(value) for name, value in node["properties"].items()}
            kept["required"] = list(node["properties"])
            kept["additionalProperties"] = False
        return kept

    return strict(schema)
