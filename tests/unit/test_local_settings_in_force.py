"""Settings of commands that talk to the one-machine stack: the shell's own, otherwise those it was started with."""

from __future__ import annotations

from decimal import Decimal

import pytest

from media_assets.local.budgets import Budgets
from media_assets.local.settings_in_force import settings_in_force
from media_assets.settings import Settings, variable_of


@pytest.fixture
def bare_shell(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A shell that sets nothing."""
    for name in Settings.model_fields:
        monkeypatch.delenv(variable_of(name), raising=False)
    return monkeypatch


def seen(shell: pytest.MonkeyPatch, started_with: Settings) -> Settings:
    """The settings of a command in this shell."""
    for name, value in settings_in_force(started_with.as_environment(), Settings()).items():
        shell.setenv(name, value)
    return Settings()


def test_a_shell_that_sets_nothing_has_the_stacks(bare_shell: pytest.MonkeyPatch) -> None:
    stack = Settings(stage="dev", segment_crf=30, model_provider="openai", thumbnail_sizes_px=(100, 800))
    assert seen(bare_shell, stack) == stack


def test_what_a_shell_sets_is_its_own(bare_shell: pytest.MonkeyPatch) -> None:
    bare_shell.setenv("MEDIA_SEGMENT_CRF", "18")
    settings = seen(bare_shell, Settings(segment_crf=30, segment_preset="slow"))
    assert (settings.segment_crf, settings.segment_preset) == (18, "slow")


def test_a_key_in_the_shell_chooses_no_provider(bare_shell: pytest.MonkeyPatch) -> None:
    stack = Settings()
    bare_shell.setenv("OPENAI_API_KEY", "sk-s3cret")
    assert Settings().model_provider == "openai"
    assert "sk-s3cret" not in settings_in_force(stack.as_environment(), Settings()).values()
    assert seen(bare_shell, stack).model_provider == "local"


@pytest.mark.parametrize(
    "budgets",
    [
        Budgets(),
        Budgets(daily_budget_dollars=Decimal("0.008")),
        Budgets(daily_budget_dollars=Decimal("2.50"), user_daily_budgets_dollars={"ada": Decimal(10), "grace": None}),
    ],
)
def test_budgets_are_the_stacks_whatever_a_shell_sets(budgets: Budgets, bare_shell: pytest.MonkeyPatch) -> None:
    started_with = Settings(**{name: value for name, value in budgets if value}).as_environment()
    assert Budgets.among(started_with) == budgets
    bare_shell.setenv("MEDIA_DAILY_BUDGET_DOLLARS", "7")
    assert Budgets.among(settings_in_force(started_with, Settings())) == budgets
