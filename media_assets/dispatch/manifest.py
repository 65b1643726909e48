"""No success without proof: a manifest names every item of its request exactly once, or the batch has failed."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import ValidationError

from lambdas.runtime.contract import Manifest, StepRequest
from media_assets.dispatch.errors import ManifestError


def read_manifest(request: StepRequest, answer: Any) -> Manifest:
    """The manifest in a remote step's answer, verified against the request. Raises ManifestError saying what doesn't fit."""
    if not isinstance(answer, dict) or "manifest" not in answer:
        raise ManifestError(f"{_batch(request)} answered without a manifest")
    try:
        manifest = Manifest.model_validate(answer["manifest"])
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)[:3])
        raise ManifestError(f"{_batch(request)} answered with a malformed manifest: {where}") from None
    for field in ("batch_id", "attempt_id", "step", "recipe"):
        expected, actual = getattr(request, field), getattr(manifest, field)
        if expected != actual:
            raise ManifestError(f"{_batch(request)} answered for {field} {actual!r} instead of {expected!r}")
    asked = {item.item_id: item for item in request.items}
    answered = Counter(outcome.item_id for outcome in manifest.outcomes)
    for problem, ids in (
        ("without", asked.keys() - answered.keys()),
        ("with unasked", answered.keys() - asked.keys()),
        ("more than once for", {item_id for item_id, times in answered.items() if times > 1}),
    ):
        if ids:
            raise ManifestError(f"{_batch(request)} answered {problem} item {', '.join(sorted(ids)[:3])} ({len(ids)} in all)")
    for outcome in manifest.outcomes:
        upload = asked[outcome.item_id].correlation_id
        if outcome.correlation_id != upload:
            raise ManifestError(
                f"{_batch(request)} answered for correlation_id {outcome.correlation_id!r} instead of {upload!r}"
                f" of item {outcome.item_id}"
            )
        prefix = asked[outcome.item_id].output_prefix
        for output in outcome.outputs:
            if not output.key.startswith(prefix):
                raise ManifestError(f"{_batch(request)} wrote an object of item {outcome.item_id} outside its prefix {prefix}")
    return manifest


def _batch(request: StepRequest) -> str:
    return f"batch {request.batch_id} of {len(request.items)} items for {request.step}"
