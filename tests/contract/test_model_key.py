"""The key of a hosted model: where it comes from, how a rotated one is noticed, and where it never shows."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from lambdas.analyze.handler import handler as analyze
from lambdas.embed.handler import handler as embed
from lambdas.runtime import model_endpoint
from lambdas.runtime.contract import ErrorCode
from tests.contract.conftest import SECRET, Aws
from tests.contract.invocation import Item, invoke
from tests.contract.model_server import API_KEY, ModelServer, an_analysis, fails, says

UNAVAILABLE = ErrorCode.MODEL_UNAVAILABLE
NOT_CONFIGURED = ErrorCode.MODEL_NOT_CONFIGURED


def test_a_rotated_key_is_used_after_the_old_one_fails(aws: Aws, embedding: dict[str, Any], model_server: ModelServer) -> None:
    assert code_for(embedding) is None
    model_server.api_key = "sk-rotated"
    aws.put_secret("sk-rotated\n")
    assert code_for(embedding) == NOT_CONFIGURED
    assert code_for(embedding) is None


def test_a_key_is_read_again_after_a_while_and_not_before(
    aws: Aws, embedding: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code_for(embedding) is None
    aws.put_secret("sk-wrong")
    assert code_for(embedding) is None
    monkeypatch.setattr(model_endpoint, "KEY_SECONDS", 0)
    assert code_for(embedding) == NOT_CONFIGURED


@pytest.mark.parametrize("secret", [" ", "two words", "line\nbreak", "ключ"])
def test_a_secret_that_is_no_key(aws: Aws, embedding: dict[str, Any], secret: str) -> None:
    aws.put_secret(secret)
    assert code_for(embedding) == NOT_CONFIGURED


def test_no_secret(aws: Aws, embedding: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_API_KEY_SECRET", SECRET + "-nowhere")
    assert code_for(embedding) == NOT_CONFIGURED
    monkeypatch.delenv("MODEL_API_KEY_SECRET")
    assert code_for(embedding) == NOT_CONFIGURED


def test_secrets_manager_is_away(aws: Aws, embedding: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    assert code_for(embedding) == UNAVAILABLE


def test_the_key_is_in_no_log_and_no_message(
    photo: Item,
    chat: dict[str, Any],
    model_server: ModelServer,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "openai")
    caplog.set_level(logging.INFO)
    model_server.next(says(an_analysis()), fails(401, None, f"Incorrect API key provided: {API_KEY}"), fails(500))
    said = [invoke("analyze", analyze, chat, Item(photo.input)).model_dump_json() for _ in range(3)]
    captured = capfd.readouterr()
    assert API_KEY not in "".join([*said, captured.out, captured.err, caplog.text])


def code_for(parameters: dict[str, Any]) -> ErrorCode | None:
    outcome = invoke("embed", embed, parameters, Item({"text": "a cat"}))
    return outcome.error.code if outcome.error else None
