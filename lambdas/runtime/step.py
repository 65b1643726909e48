"""What a remote step is: a function of one item and its context that returns a result or raises StepError."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from lambdas.runtime.contract import BatchItem, Disposition, ErrorCode, OutputObject

if TYPE_CHECKING:  # storage raises StepError
    from lambdas.runtime.storage import Storage

Process = Callable[[BatchItem, "StepContext"], "StepResult"]
"""One item in, one result out. Raises StepError for what it can explain; anything else becomes STEP_ERROR."""


_Parameters = TypeVar("_Parameters", bound=BaseModel)


class BadRequest(ValueError):
    """The request isn't one that this step can do: dispatch or recipe are at fault, no file. Fails the invocation."""

    @classmethod
    def from_validation(cls, what: str, error: ValidationError) -> BadRequest:
        """Says which fields are wrong, without their values: they are keys and texts, and this ends up in logs."""
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        reasons = "; ".join(f"{'.'.join(map(str, fault['loc'])) or what}: {fault['msg']}" for fault in faults)
        return cls(f"invalid {what}: {reasons}")


class StepError(Exception):
    """The item has no result, and this is why.

    `message` is one sentence for a person; it never holds file content, keys or URLs. `retryable` follows from the
    code unless said: a rejected or vanished file never changes its mind, anything else may succeed later.
    Tokens are what the attempt cost all the same.
    """

    def __init__(
        self, code: ErrorCode, message: str, retryable: bool | None = None, *, tokens_in: int = 0, tokens_out: int = 0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        heals = code.disposition not in (Disposition.REJECT, Disposition.GONE)
        self.retryable = heals if retryable is None else retryable
        self.tokens_in = tokens_in
        self.tokens_out = tokens_out


@dataclass(frozen=True)
class StepResult:
    """What a step found out (`result`, JSON) and what it wrote (`outputs`)."""

    result: dict[str, Any]
    outputs: tuple[OutputObject, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0


@dataclass(frozen=True)
class StepContext:
    """What a step may know and use besides the item. `storage` counts what is read, for the item's bytes_in."""

    step: str
    recipe: str
    parameters: dict[str, Any]
    attempt: int
    storage: Storage
    log: logging.Logger
    remaining_milliseconds: Callable[[], int]
    """Time until Lambda ends the invocation."""
    progress: Callable[[float], None] = lambda fraction: None
    """Told how much of the item is done, from 0 to 1, as often as is convenient."""
    run_id: str | None = None
    """The Dagster run that sent the batch; None when the function was invoked by hand."""
    partition_key: str | None = None

    def parameters_as(self, model: type[_Parameters]) -> _Parameters:
        """The recipe's parameters, typed. Raises BadRequest if they don't fit."""
        try:
            return model.model_validate(self.parameters)
        except ValidationError as error:
            raise BadRequest.from_validation("parameters", error) from None
