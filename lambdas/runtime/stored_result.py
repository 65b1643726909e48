"""Work that is worth doing once: its result is stored before it is reported; a later attempt returns what is stored.

For steps that pay for more than their own compute, or work long. An invocation can die, or its answer get lost, after
the work is done; without this every such accident would be paid again.
"""

from __future__ import annotations

from collections.abc import Callable

from lambdas.runtime.contract import BatchItem
from lambdas.runtime.step import StepContext, StepError, StepResult

RESULT_NAME = "result.json"


def compute_once(item: BatchItem, context: StepContext, compute: Callable[[], StepResult]) -> StepResult:
    """The stored result of an earlier attempt at this item, or `compute()`'s after storing it.

    `<output_prefix>result.json` holds `{"result", "tokens_in", "tokens_out"}` and is written after everything else. If
    another attempt stored one in the meantime, that one counts, and the tokens of both are reported: both were spent.
    A first attempt doesn't look, so that the usual case costs no request. Raises what `compute` and the storage raise.
    """
    key = item.output_prefix + RESULT_NAME
    if context.attempt > 1:
        earlier = context.storage.read_json(item.bucket, key)
        if earlier is not None:
            stored, output = earlier
            return StepResult(stored["result"], (output,), stored["tokens_in"], stored["tokens_out"])

    computed = compute()
    own = {"result": computed.result, "tokens_in": computed.tokens_in, "tokens_out": computed.tokens_out}
    try:
        stored, output = context.storage.write_json(item.bucket, key, own)
    except StepError as error:
        error.tokens_in += computed.tokens_in
        error.tokens_out += computed.tokens_out
        raise
    tokens_in, tokens_out = stored["tokens_in"], stored["tokens_out"]
    if stored != own:
        tokens_in, tokens_out = tokens_in + computed.tokens_in, tokens_out + computed.tokens_out
    return StepResult(stored["result"], (*computed.outputs, output), tokens_in, tokens_out)
