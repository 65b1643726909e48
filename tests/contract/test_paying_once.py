"""A model's answer is paid for once, whatever happens to the invocation that asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lambdas.analyze.handler import handler as analyze
from lambdas.runtime.contract import ErrorCode, ItemOutcome
from tests.contract.conftest import Aws
from tests.contract.invocation import BUCKET, Item, code_of, invoke
from tests.contract.model_server import ModelServer, an_analysis, fails, says


def test_a_later_attempt_returns_what_an_earlier_one_stored(
    photo: Item, chat: dict[str, Any], model_server: ModelServer
) -> None:
    first = invoke("analyze", analyze, chat, photo)
    model_server.next(says(an_analysis(summary="Another answer.")))
    second = invoke("analyze", analyze, chat, photo, attempt=2)
    assert len(model_server.requests) == 1
    assert second.result == first.result
    # There is a second attempt because the first one's answer got lost, and its cost along with it.
    assert second.metrics.tokens_in == first.metrics.tokens_in


def test_a_later_attempt_asks_if_nothing_was_stored(photo: Item, chat: dict[str, Any], model_server: ModelServer) -> None:
    model_server.next(fails(500))
    assert code_of(invoke("analyze", analyze, chat, photo)) == ErrorCode.MODEL_UNAVAILABLE
    assert invoke("analyze", analyze, chat, photo, attempt=2).error is None


def test_of_two_at_once_the_first_stored_counts(photo: Item, chat: dict[str, Any], model_server: ModelServer) -> None:
    others: list[ItemOutcome] = []
    slow = says(an_analysis(summary="The slower answer."))
    model_server.next(
        replace(slow, meanwhile=lambda: others.append(invoke("analyze", analyze, chat, photo))),
        says(an_analysis(summary="The quicker answer.")),
    )
    outcome = invoke("analyze", analyze, chat, photo)
    assert outcome.result is not None
    assert outcome.result["analysis"]["summary"] == "The quicker answer."
    assert outcome.result == others[0].result
    assert outcome.outputs == others[0].outputs
    assert outcome.metrics.tokens_in == 2 * 1200


def test_a_result_that_cannot_be_stored_is_no_result_but_has_a_cost(
    photo: Item, chat: dict[str, Any], model_server: ModelServer, aws: Aws
) -> None:
    def lose_the_bucket() -> None:
        for key in aws.keys(""):
            aws.s3.delete_object(Bucket=BUCKET, Key=key)
        aws.s3.delete_bucket(Bucket=BUCKET)

    model_server.next(replace(says(an_analysis()), meanwhile=lose_the_bucket))
    outcome = invoke("analyze", analyze, chat, photo)
    assert code_of(outcome) == ErrorCode.STORAGE_UNAVAILABLE
    assert (outcome.metrics.tokens_in, outcome.metrics.tokens_out) == (1200, 340)
