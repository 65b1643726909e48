"""Settings come from the environment, name what is wrong, and keep secrets to themselves."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from media_assets.settings import ModelPrice, SettingMissingError, Settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "DATABASE_URL", "MEDIA_BUCKET", "MEDIA_MODEL_PROVIDER", "MEDIA_FIRST_HOUR"):
        monkeypatch.delenv(name, raising=False)


def test_a_key_selects_the_endpoint_and_its_models(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().model_provider == "local"
    assert Settings().embed_dimensions == 384
    monkeypatch.setenv("OPENAI_API_KEY", "sk-s3cret")
    assert Settings().model_provider == "openai"
    assert Settings().embed_dimensions == 1536
    assert "s3cret" not in repr(Settings())


def test_the_model_that_varies_texts_is_a_hosted_one_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().vary_model is None
    assert Settings(vary_model="gpt-4o-mini").vary_model == "gpt-4o-mini"
    assert Settings(model_provider="openai").vary_model == Settings(model_provider="openai").analyze_model
    assert Settings(model_provider="openai", analyze_model="local/efficientnet-lite0+nanodet-g").vary_model is None
    with pytest.raises(ValidationError, match="none of them writes"):
        Settings(vary_model="local/writer")
    with pytest.raises(ValidationError, match=r"what some-writer costs is not known.*MEDIA_MODEL_PRICES"):
        Settings(vary_model="some-writer")


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert Settings().model_provider == "local"


def test_what_is_needed_and_missing_is_named() -> None:
    with pytest.raises(SettingMissingError, match="MEDIA_BUCKET"):
        _ = Settings().bucket


@pytest.mark.parametrize("value", ["2026-01-01T00:30Z", "2026-01-01T00:00+01:00", "2026-01-01T00:00"])
def test_the_first_hour_is_a_full_hour_in_utc(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_FIRST_HOUR", value)
    with pytest.raises(ValidationError, match="full hour in UTC"):
        Settings()


def test_another_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = Settings(
        stage="dev",
        state_dir=tmp_path,
        bucket_name="photos",
        thumbnail_sizes_px=(100, 200),
        upload_sensor_budget_seconds=1.5,
        model_provider="openai",
    )
    for name, value in given.as_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == given


def test_budgets_are_micro_dollars_by_user(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Settings().has_budgets
    assert Settings().daily_budget_micro_dollars("ada") is None
    monkeypatch.setenv("MEDIA_DAILY_BUDGET_DOLLARS", "0.1")
    monkeypatch.setenv("MEDIA_USER_DAILY_BUDGETS_DOLLARS", '{"grace": 2.5, "joan": null, "mallory": 0}')
    settings = Settings()
    assert settings.has_budgets
    found = [settings.daily_budget_micro_dollars(user) for user in ("ada", "grace", "joan", "mallory")]
    assert found == [100_000, 2_500_000, None, 0]
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MEDIA_DAILY_BUDGET_DOLLARS", "-1"),
        ("MEDIA_DAILY_BUDGET_DOLLARS", "NaN"),
        ("MEDIA_USER_DAILY_BUDGETS_DOLLARS", '{"ada": -1}'),
        ("MEDIA_USER_DAILY_BUDGETS_DOLLARS", '{"Ada Lovelace": 1}'),
        ("MEDIA_MODEL_PRICES", '{"gpt-4.1-mini": {"input": -1}}'),
        ("MEDIA_MODEL_PRICES", '{"gpt-4.1-mini": {"output": 1}}'),
    ],
)
def test_money_that_makes_no_sense_is_refused(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError):
        Settings()


def test_a_hosted_model_needs_a_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_ANALYZE_MODEL", "some-model")
    assert Settings().analyze_model == "some-model"  # of the embedded provider
    monkeypatch.setenv("MEDIA_MODEL_PROVIDER", "openai")
    with pytest.raises(ValidationError, match=r"what some-model costs is not known; .*MEDIA_MODEL_PRICES='\{\"some-model\""):
        Settings()
    monkeypatch.setenv("MEDIA_MODEL_PRICES", '{"some-model": {"input": 0.1, "output": 0.2}}')
    prices = Settings().model_prices
    assert prices["some-model"] == ModelPrice(input=Decimal("0.1"), output=Decimal("0.2"))
    assert prices["gpt-4.1-mini"] == ModelPrice(input=Decimal("0.4"), output=Decimal("1.6"))  # still known


def test_secrets_are_not_handed_on() -> None:
    given = Settings(openai_api_key="sk-s3cret", database="postgresql://me:s3cret@db/media")
    assert given.as_environment() == {"MEDIA_MODEL_PROVIDER": "openai"}
