"""Settings come from the environment, name what is wrong, and keep secrets to themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from media_assets.settings import SettingMissingError, Settings


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


def test_secrets_are_not_handed_on() -> None:
    given = Settings(openai_api_key="sk-s3cret", database="postgresql://me:s3cret@db/media")
    assert given.as_environment() == {"MEDIA_MODEL_PROVIDER": "openai"}
