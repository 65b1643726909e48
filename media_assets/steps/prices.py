"""What computing costs, in integer micro-dollars at the price table in settings.

Exact fractions, rounded up once at the end: what costs anything is never recorded as nothing. Sources: AWS's price lists
of Lambda (GB-seconds by the millisecond, and a request) and of Fargate (vCPU-hours and GB-hours by the second, a minute
at least); models are paid by the million tokens.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil

from media_assets.settings import Settings

_LEAST_TASK_SECONDS = 60


def lambda_invocation(settings: Settings, *, milliseconds: int, memory_mb: int) -> int:
    """One invocation of a function of this size that took so long."""
    gb_seconds = Fraction(milliseconds * memory_mb, 1000 * 1024)
    return _micro_dollars(gb_seconds * Fraction(settings.lambda_gb_second_dollars) + Fraction(settings.lambda_request_dollars))


def fargate_task(settings: Settings, *, seconds: Decimal, vcpus: Decimal, memory_mb: int) -> int:
    """One task of this size from the pull of its image to its end. A begun second counts whole."""
    hours = Fraction(max(ceil(seconds), _LEAST_TASK_SECONDS), 3600)
    an_hour = Fraction(vcpus) * Fraction(settings.fargate_vcpu_hour_dollars) + Fraction(memory_mb, 1024) * Fraction(
        settings.fargate_gb_hour_dollars
    )
    return _micro_dollars(hours * an_hour)


def model_call(settings: Settings, model: str, *, tokens_in: int, tokens_out: int) -> int:
    """What a model takes for these tokens; an embedded one (`local/…`) nothing. Raises KeyError for one without a price."""
    if model.startswith("local/"):
        return 0
    price = settings.model_prices[model]
    return _micro_dollars((tokens_in * Fraction(price.input) + tokens_out * Fraction(price.output)) / 1_000_000)


def _micro_dollars(dollars: Fraction) -> int:
    return ceil(dollars * 1_000_000)
