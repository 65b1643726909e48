"""The ways in which a video may be cut into segments, as people and clients ask for them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Seconds = Annotated[float, Field(ge=0.5, le=24 * 3600, allow_inf_nan=False)]


class FixedCut(BaseModel):
    """Segments of one length; the last one is what is left."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    type: Literal["fixed"] = "fixed"
    duration_seconds: Seconds


class _Between(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    min_duration: Seconds
    max_duration: Seconds

    @model_validator(mode="after")
    def _in_order(self) -> _Between:
        if self.min_duration > self.max_duration:
            raise ValueError(f"min_duration is {self.min_duration:g} s, more than max_duration, {self.max_duration:g} s")
        return self


class RandomCut(_Between):
    """Segments of random lengths in seconds, the same ones for the same video and `seed`: so a plan is what is cut."""

    type: Literal["random"] = "random"
    seed: str = Field(default="", max_length=64)


class ScenesCut(_Between):
    """A segment a shot: shots that are shorter are joined, longer ones divided."""

    type: Literal["scenes"] = "scenes"


Cut = Annotated[FixedCut | RandomCut | ScenesCut, Field(discriminator="type")]
