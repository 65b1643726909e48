"""What computing a step once more is likely to cost: from what it has cost, else from what it may cost at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, text

from media_assets.settings import Settings
from media_assets.steps.step import Step

Source = Literal["this_recipe", "other_recipes", "at_most"]

_NEWEST = 1000


@dataclass(frozen=True)
class Measured:
    """What a number of outcomes cost together, in micro-dollars."""

    outcomes: int = 0
    micro_dollars: int = 0


@dataclass(frozen=True)
class Estimate:
    """Micro-dollars for one item, rounded up, and what they are taken from."""

    micro_dollars: int
    source: Source


def estimate(step: Step, settings: Settings, *, this_recipe: Measured, other_recipes: Measured) -> Estimate:
    """The average of outcomes by the current recipe; without any, of outcomes by others, unless a hosted model is asked:
    another model or prompt takes other tokens at another price. Else what an attempt may cost at most by the price table.
    """
    if this_recipe.outcomes:
        return Estimate(_average(this_recipe), "this_recipe")
    if other_recipes.outcomes and step.hosted_model(settings) is None:
        return Estimate(_average(other_recipes), "other_recipes")
    return Estimate(step.most_micro_dollars(settings), "at_most")


def estimate_now(connection: Connection, step: Step, settings: Settings) -> Estimate:
    """The estimate by what the log has measured: the newest 1,000 results of the current recipe, else every day's costs in
    which the step took no tokens, failed attempts included."""
    this_recipe = connection.execute(
        text("""
            SELECT count(*), coalesce(sum(e.micro_dollars), 0)::bigint
            FROM (SELECT event_id FROM step_results WHERE step = :step AND recipe = :recipe
                  ORDER BY finished_at DESC LIMIT :newest) r
            JOIN events e USING (event_id)
        """),
        {"step": step.name, "recipe": step.recipe(settings).digest, "newest": _NEWEST},
    ).one()
    other_recipes = connection.execute(
        text("""
            SELECT coalesce(sum(outcomes), 0)::bigint, coalesce(sum(micro_dollars), 0)::bigint
            FROM costs WHERE step = :step AND tokens_in = 0 AND tokens_out = 0
        """),
        {"step": step.name},
    ).one()
    return estimate(step, settings, this_recipe=Measured(*this_recipe), other_recipes=Measured(*other_recipes))


def _average(measured: Measured) -> int:
    return -(-measured.micro_dollars // measured.outcomes)
