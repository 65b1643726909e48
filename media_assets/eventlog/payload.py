"""What every event's payload is."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Payload(BaseModel):
    """What an event says beyond its clear columns. `schema_version` rises when a field changes."""

    # Infinity and NaN as they are, which Postgres refuses: null would be something else than was told.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")
    type: ClassVar[str]
    schema_version: ClassVar[int] = 1
