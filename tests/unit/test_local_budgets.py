"""Budgets of the one-machine stack: what `up` says of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from media_assets.cli.stack import budget_change
from media_assets.local.budgets import Budgets

NONE = Budgets()
LOW = Budgets(daily_budget_dollars=Decimal("0.008"))
ADAS = Budgets(user_daily_budgets_dollars={"ada": Decimal(10), "grace": None})
BOTH = Budgets(daily_budget_dollars=Decimal("2.50"), user_daily_budgets_dollars={"ada": Decimal(10), "grace": None})


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (NONE, NONE, ""),
        (NONE, LOW, "daily budget: $0.008 a user"),
        (LOW, LOW, "daily budget: $0.008 a user"),
        (NONE, ADAS, "daily budget: ada $10"),
        (LOW, BOTH, "daily budget: $2.50 a user; ada $10; grace as much as it takes (it was $0.008 a user)"),
        (LOW, NONE, "no daily budget any more (it was $0.008 a user)"),
    ],
)
def test_a_change_is_said(before: Budgets, now: Budgets, said: str) -> None:
    assert budget_change(before, now) == said
