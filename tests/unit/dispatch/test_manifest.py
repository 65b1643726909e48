"""No success without proof: which manifests are believed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from lambdas.runtime.contract import ErrorCode
from media_assets.dispatch.errors import ManifestError
from media_assets.dispatch.manifest import read_manifest
from tests.unit.dispatch.works import answer_to, error, request_for, work

REQUEST = request_for([work() for _ in range(3)])
STRANGER = "00000000-0000-4000-8000-000000000000"


def manifest(**changes: Any) -> dict[str, Any]:
    return {**answer_to(REQUEST).model_dump(mode="json"), **changes}


def outcomes(*numbers: int) -> list[dict[str, Any]]:
    every = manifest()["outcomes"]
    return [every[number] for number in numbers]


def output(**changes: Any) -> dict[str, Any]:
    prefix = REQUEST.items[0].output_prefix
    return {"key": f"{prefix}256.webp", "sha256": "ab" * 32, "size_bytes": 9, "content_type": "image/webp", **changes}


def with_output(**changes: Any) -> dict[str, Any]:
    first, *others = outcomes(0, 1, 2)
    return manifest(outcomes=[{**first, "outputs": [output(**changes)]}, *others])


def test_a_manifest_that_accounts_for_every_item_is_believed() -> None:
    assert read_manifest(REQUEST, {"manifest": manifest(), "messages": []}) == answer_to(REQUEST)


def test_errors_account_for_items_too_and_the_order_is_free() -> None:
    told = [error(item.item_id, ErrorCode.CORRUPT) for item in REQUEST.items[::-1]]
    answer = answer_to(REQUEST, told)
    assert read_manifest(REQUEST, {"manifest": answer.model_dump(mode="json")}) == answer


def test_outputs_under_the_items_own_prefix_are_believed() -> None:
    (first, *_) = read_manifest(REQUEST, {"manifest": with_output()}).outcomes
    assert first.outputs[0].key.startswith(REQUEST.items[0].output_prefix)


@pytest.mark.parametrize("answer", [None, "text", 3, [], {}, {"messages": []}, {"Manifest": manifest()}])
def test_an_answer_without_a_manifest_is_no_success(answer: Any) -> None:
    with pytest.raises(ManifestError, match="without a manifest"):
        read_manifest(REQUEST, answer)


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "an item is missing": (manifest(outcomes=outcomes(0, 2)), "without item"),
    "all items are missing": (manifest(outcomes=[]), r"without item .*\(3 in all\)"),
    "an item is there twice": (manifest(outcomes=outcomes(0, 1, 2, 1)), "more than once for item"),
    "an item wasn't asked for": (
        manifest(outcomes=[*outcomes(0, 1, 2), {**outcomes(0)[0], "item_id": STRANGER}]),
        f"with unasked item {STRANGER}",
    ),
    "another batch": (manifest(batch_id="b2"), "answered for batch_id 'b2' instead of 'b1'"),
    "another attempt": (manifest(attempt_id="a0"), "answered for attempt_id 'a0' instead of 'a1'"),
    "another step": (manifest(step="thumbnail"), "answered for step"),
    "another recipe": (manifest(recipe="cafe"), "answered for recipe"),
    "another item's upload": (
        manifest(outcomes=[{**outcomes(0)[0], "correlation_id": outcomes(1)[0]["correlation_id"]}, *outcomes(1, 2)]),
        rf"answered for correlation_id .* instead of '{REQUEST.items[0].correlation_id}' of item",
    ),
    "nobody's upload": (
        manifest(outcomes=[{**outcomes(0)[0], "correlation_id": None}, *outcomes(1, 2)]),
        "answered for correlation_id None instead of",
    ),
    "an object of another item": (
        with_output(key=f"{REQUEST.items[1].output_prefix}256.webp"), "outside its prefix"
    ),
    "an object elsewhere": (with_output(key="uploads/ada/cat.jpg"), "outside its prefix"),
    "a digest that is none": (with_output(sha256="AB" * 32), "malformed manifest: outcomes.0.outputs.0.sha256"),
    "a digest that is cut": (with_output(sha256="ab" * 31), "malformed manifest"),
    "no digest": (with_output(sha256=None), "malformed manifest"),
    "a negative size": (with_output(size_bytes=-1), "malformed manifest"),
    "an outcome with both": (
        manifest(outcomes=[{**each, "error": {"code": "corrupt", "message": "m", "retryable": False}}
                           for each in outcomes(0, 1, 2)]),
        "malformed manifest",
    ),
    "an outcome with neither": (manifest(outcomes=[{"item_id": str(uuid.uuid4())}]), "malformed manifest"),
    "a code that isn't on the list": (
        manifest(outcomes=[{"item_id": "i", "error": {"code": "tired", "message": "m", "retryable": True}}]),
        "malformed manifest: outcomes.0.error.code",
    ),
    "a field that isn't in the contract": (manifest(signature="trust me"), "malformed manifest: signature"),
    "no outcomes at all": ({k: v for k, v in manifest().items() if k != "outcomes"}, "malformed manifest: outcomes"),
    "not an object": ({"text": 1}, "malformed manifest"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_and_named(lie: str) -> None:
    told, reason = LIES[lie]
    with pytest.raises(ManifestError, match=reason):
        read_manifest(REQUEST, {"manifest": told})


def test_a_refusal_quotes_no_content() -> None:
    secret = manifest(outcomes=[{"item_id": 5, "result": "secret text of a picture"}])
    with pytest.raises(ManifestError) as refused:
        read_manifest(REQUEST, {"manifest": secret})
    assert "secret" not in str(refused.value)


def test_a_refusal_of_a_large_batch_stays_short() -> None:
    request = request_for([work() for _ in range(64)])
    with pytest.raises(ManifestError, match=r"\(64 in all\)") as refused:
        read_manifest(request, {"manifest": answer_to(request, []).model_dump(mode="json")})
    assert len(str(refused.value)) < 400
