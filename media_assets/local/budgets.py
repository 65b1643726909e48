"""Daily budgets of the one-machine stack: another shell may have others in its environment, or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from media_assets.settings import Settings, variable_of


class Budgets(BaseModel):
    """Dollars a user and day (UTC), as the settings of the same names have them."""

    model_config = ConfigDict(frozen=True)

    daily_budget_dollars: Decimal | None = None
    user_daily_budgets_dollars: dict[str, Decimal | None] = {}

    @classmethod
    def of(cls, settings: Settings) -> Budgets:
        return cls(
            daily_budget_dollars=settings.daily_budget_dollars, user_daily_budgets_dollars=settings.user_daily_budgets_dollars
        )

    @classmethod
    def among(cls, variables: Mapping[str, str]) -> Budgets:
        """Of variables as `Settings.as_environment` has them."""
        each_user, users = map(variables.get, cls.variables())
        return cls.model_validate(
            {"daily_budget_dollars": each_user, "user_daily_budgets_dollars": json.loads(users) if users else {}}
        )

    @classmethod
    def variables(cls) -> list[str]:
        """The environment variables that set them, in the order of the fields."""
        return [variable_of(field) for field in cls.model_fields]

    def text(self) -> str:
        """`$0.008 a user; ada $10; grace as much as it takes`; empty if nobody has one."""
        users = self.user_daily_budgets_dollars.items()
        if self.daily_budget_dollars is None:
            return "; ".join(f"{user} ${dollars:f}" for user, dollars in users if dollars is not None)
        named = (f"{user} as much as it takes" if dollars is None else f"{user} ${dollars:f}" for user, dollars in users)
        return "; ".join([f"${self.daily_budget_dollars:f} a user", *named])
