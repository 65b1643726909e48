"""Hosted models misbehave, and whose fault it is: the file's, the settings' or the endpoint's."""

from __future__ import annotations

import base64
import json
import struct
import time
from dataclasses import replace
from typing import Any

import pytest

from lambdas.analyze.handler import handler as analyze
from lambdas.embed.handler import handler as embed
from lambdas.runtime.contract import Disposition, ErrorCode, ItemOutcome
from tests.contract.conftest import Aws
from tests.contract.invocation import Item, code_of, invoke
from tests.contract.model_server import API_KEY, ModelServer, Reply, an_analysis, fails, gives, says

UNAVAILABLE = ErrorCode.MODEL_UNAVAILABLE
NOT_CONFIGURED = ErrorCode.MODEL_NOT_CONFIGURED
INVALID = ErrorCode.MODEL_ANSWER_INVALID
REFUSED = ErrorCode.MODEL_REFUSED

HTML = {"content-type": "text/html"}
GOOGLE_WRONG_KEY = [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]
GATEWAY_ERROR = {"error": {"code": 502, "message": "Provider returned error"}}


class TestOutages:
    """Costs the file no attempt."""

    @pytest.mark.parametrize(
        ("reply", "code", "says_so"),
        [
            (fails(429, "rate_limit_exceeded", retry_after="20"), UNAVAILABLE, "wait 20 s"),
            (fails(429, "insufficient_quota"), UNAVAILABLE, "quota"),
            (fails(408), UNAVAILABLE, "408"),
            (fails(500, "server_error"), UNAVAILABLE, "500 (server_error)"),
            (Reply(503, b"<html>down</html>", HTML), UNAVAILABLE, "503"),
            (fails(529, "overloaded_error"), UNAVAILABLE, "overloaded"),
            (Reply(200, GATEWAY_ERROR), UNAVAILABLE, "502"),
            (replace(says(an_analysis()), cut_after=40), UNAVAILABLE, "connection"),
            (says("x" * 9_000_000), UNAVAILABLE, "connection"),
            (fails(401, "invalid_api_key", f"Incorrect API key provided: {API_KEY}"), NOT_CONFIGURED, "Secrets"),
            (fails(402, None, "Insufficient Balance"), NOT_CONFIGURED, "credit"),
            (fails(403, "permission_denied"), NOT_CONFIGURED, "no access"),
            (fails(404, "model_not_found"), NOT_CONFIGURED, "model's name"),
            (Reply(307, b"", {"location": "https://example.com/v1"}), NOT_CONFIGURED, "base URL"),
            (Reply(200, b"<html>welcome</html>", HTML), NOT_CONFIGURED, "base URL"),
            (fails(400, None, "Unknown name 'response_format'"), NOT_CONFIGURED, "400"),
            (fails(400, None, "Your credit balance is too low"), NOT_CONFIGURED, "400"),
            (Reply(400, GOOGLE_WRONG_KEY), NOT_CONFIGURED, "API key"),
        ],
    )
    def test_an_error_that_is_not_the_files(
        self,
        photo: Item,
        chat: dict[str, Any],
        model_server: ModelServer,
        aws: Aws,
        reply: Reply,
        code: ErrorCode,
        says_so: str,
    ) -> None:
        model_server.next(reply)
        outcome = invoke("analyze", analyze, chat, photo)
        assert code_of(outcome) == code
        assert code.disposition == Disposition.OUTAGE
        assert says_so in message_of(outcome)
        assert_clean(outcome, model_server)
        assert len(model_server.requests) == 1, "retries are dispatch's"
        assert aws.keys(photo.output_prefix("analyze")) == []

    @pytest.mark.parametrize("reply", [Reply(body={}, delay_seconds=4), Reply(body={}, blanks=40)])
    def test_an_answer_that_takes_too_long(
        self, photo: Item, chat: dict[str, Any], model_server: ModelServer, reply: Reply
    ) -> None:
        # Given an invocation with 3.5 s left, of which 2 s are kept back
        model_server.next(reply)
        started = time.monotonic()
        outcome = invoke("analyze", analyze, chat, photo, milliseconds=3_500)
        # Then the wait ends in time, blanks that keep the connection open or not
        assert time.monotonic() - started < 3
        assert code_of(outcome) == UNAVAILABLE
        assert_clean(outcome, model_server)

    def test_too_little_time_to_ask(self, photo: Item, chat: dict[str, Any], model_server: ModelServer) -> None:
        assert code_of(invoke("analyze", analyze, chat, photo, milliseconds=2_500)) == ErrorCode.TIMEOUT
        assert model_server.requests == []

    def test_nobody_listens(self, photo: Item, chat: dict[str, Any]) -> None:
        outcome = invoke("analyze", analyze, chat | {"base_url": "http://127.0.0.1:9/v1"}, photo)
        assert code_of(outcome) == UNAVAILABLE
        assert "ConnectError" in message_of(outcome)

    @pytest.mark.parametrize("base_url", ["ftp://127.0.0.1/v1", "127.0.0.1:80", "http://", "http://h:99999/v1"])
    def test_a_base_url_that_is_none(self, photo: Item, chat: dict[str, Any], base_url: str) -> None:
        assert code_of(invoke("analyze", analyze, chat | {"base_url": base_url}, photo)) == NOT_CONFIGURED

    @pytest.mark.parametrize("changes", [{"provider": "magic"}, {"model": ""}, {"input_px": "big"}])
    def test_a_recipe_that_makes_no_sense(self, photo: Item, chat: dict[str, Any], changes: dict[str, Any]) -> None:
        outcome = invoke("analyze", analyze, chat | changes, photo)
        assert code_of(outcome) == NOT_CONFIGURED
        assert next(iter(changes)) in message_of(outcome)


class TestRefusals:
    """The content's fault; asking again doesn't help."""

    @pytest.mark.parametrize(
        "reply",
        [
            says(None, refusal="I can't help with that."),
            says("", finish_reason="content_filter"),
            fails(400, "content_filter", "The response was filtered"),
            fails(400, "invalid_image", "You uploaded an unsupported image."),
            fails(400, None, "Could not process image"),
            fails(403, None, "Your chosen model requires moderation and your input was flagged"),
        ],
    )
    def test_a_picture_that_is_declined(
        self, photo: Item, chat: dict[str, Any], model_server: ModelServer, reply: Reply
    ) -> None:
        model_server.next(reply)
        outcome = invoke("analyze", analyze, chat, photo)
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.retryable) == (REFUSED, False)
        assert outcome.metrics.tokens_in == (1200 if reply.status == 200 else 0)
        assert_clean(outcome, model_server)

    def test_a_400_that_nothing_explains_is_tried_again(
        self, photo: Item, chat: dict[str, Any], model_server: ModelServer
    ) -> None:
        model_server.next(fails(400, None, "Request contains an invalid argument."))
        outcome = invoke("analyze", analyze, chat, photo)
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.retryable) == (REFUSED, True)

    def test_a_text_that_is_too_long(self, aws: Aws, embedding: dict[str, Any], model_server: ModelServer) -> None:
        model_server.next(fails(400, None, "This model's maximum context length is 8192 tokens"))
        assert code_of(invoke("embed", embed, embedding, Item({"text": "a cat"}))) == REFUSED


class TestInvalidAnalyses:
    @pytest.mark.parametrize(
        "content",
        [
            None,
            "",
            "I see a secret-word chair.",
            json.dumps(an_analysis())[:-30],
            "[" * 100_000,
            [an_analysis()],
            {},
            an_analysis(category="secret-word"),
            an_analysis(secret_word=1),
            an_analysis(summary="x" * 501),
            an_analysis(tags="chair"),
            an_analysis(tags=[1]),
            an_analysis(objects=["chair"]),
            an_analysis(objects=[an_analysis()["objects"][0] | {"confidence": 1.5}]),
            an_analysis(objects=[an_analysis()["objects"][0] | {"confidence": "high"}]),
            an_analysis(objects=[an_analysis()["objects"][0] | {"confidence": float("nan")}]),
            an_analysis(objects=[an_analysis()["objects"][0] | {"estimated_value": "secret-word"}]),
            an_analysis(objects=[an_analysis()["objects"][0] | {"bounding_box": {"x": 1, "y": 2, "width": 3}}]),
            an_analysis(objects=[an_analysis()["objects"][0] | {"bounding_box": [1, 2, 3, 4]}]),
            an_analysis(dominant_colours=[{"hex": "brown", "name": "brown", "share": 0.5}]),
        ],
    )
    def test_an_answer_that_departs_from_the_schema(
        self, photo: Item, chat: dict[str, Any], model_server: ModelServer, aws: Aws, content: Any
    ) -> None:
        model_server.next(says(content))
        outcome = invoke("analyze", analyze, chat, photo)
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.retryable) == (INVALID, True)
        assert (outcome.metrics.tokens_in, outcome.metrics.tokens_out) == (1200, 340), "it was paid for all the same"
        assert "secret" not in message_of(outcome), "an answer is never quoted"
        assert aws.keys(photo.output_prefix("analyze")) == []

    @pytest.mark.parametrize(
        "reply",
        [
            says(json.dumps(an_analysis())[:50], finish_reason="length"),
            says(an_analysis(), choices=[]),
            says(an_analysis(), choices=None),
            says(an_analysis(), choices=[{"finish_reason": "stop"}]),
            Reply(200, b'{"choices": ['),
            Reply(200, []),
        ],
    )
    def test_an_answer_that_is_no_answer(
        self, photo: Item, chat: dict[str, Any], model_server: ModelServer, reply: Reply
    ) -> None:
        model_server.next(reply)
        assert code_of(invoke("analyze", analyze, chat, photo)) == INVALID

    @pytest.mark.parametrize("usage", [None, "many", {"prompt_tokens": -1, "completion_tokens": "2"}])
    def test_usage_that_makes_no_sense_counts_nothing(
        self, photo: Item, chat: dict[str, Any], model_server: ModelServer, usage: Any
    ) -> None:
        model_server.next(says(an_analysis(), usage=usage))
        outcome = invoke("analyze", analyze, chat, photo)
        assert outcome.error is None
        assert (outcome.metrics.tokens_in, outcome.metrics.tokens_out) == (0, 0)

    def test_a_content_type_that_is_wrong_does_no_harm(
        self, photo: Item, chat: dict[str, Any], model_server: ModelServer
    ) -> None:
        model_server.next(replace(says(an_analysis()), headers={"content-type": "text/plain"}))
        assert invoke("analyze", analyze, chat, photo).error is None


class TestInvalidVectors:
    @pytest.mark.parametrize(
        "reply",
        [
            gives(),
            gives([1, 0, 0, 0], [0, 1, 0, 0]),
            gives([1, 0, 0]),
            gives([1, 0, 0, 0, 0]),
            gives([0, 0, 0, 0]),
            gives([1, 0, float("nan"), 0]),
            gives([1, 0, float("inf"), 0]),
            gives([1, 0, None, 0]),
            gives([1, 0, True, 0]),
            gives(["1", 0, 0, 0]),
            gives([[1, 0, 0, 0]]),
            gives("not base64"),
            gives("AAAA"),
            gives(None),
            Reply(body={"data": ["x"]}),
            Reply(body={"object": "list"}),
        ],
    )
    def test_anything_but_one_vector_of_the_right_size(
        self, aws: Aws, embedding: dict[str, Any], model_server: ModelServer, reply: Reply
    ) -> None:
        model_server.next(reply)
        outcome = invoke("embed", embed, embedding, Item({"text": "a cat"}))
        assert outcome.error is not None
        assert (outcome.error.code, outcome.error.retryable) == (INVALID, True)

    def test_base64_is_understood(self, aws: Aws, embedding: dict[str, Any], model_server: ModelServer) -> None:
        model_server.next(gives(base64.b64encode(struct.pack("<4f", 3, 0, 4, 0)).decode()))
        outcome = invoke("embed", embed, embedding, Item({"text": "a cat"}))
        assert outcome.result is not None
        assert outcome.result["vector"] == [0.6, 0.0, 0.8, 0.0]


def message_of(outcome: ItemOutcome) -> str:
    assert outcome.error is not None
    return outcome.error.message


def assert_clean(outcome: ItemOutcome, model_server: ModelServer) -> None:
    """The message is for a person, and holds neither key nor address."""
    assert API_KEY not in message_of(outcome)
    assert "://" not in message_of(outcome)
    assert "127.0.0.1" not in message_of(outcome)
