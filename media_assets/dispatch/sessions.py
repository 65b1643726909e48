"""What the Pipes sessions of all targets have in common: messages that come with an answer, and what is told with a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, PipesContextInjector, PipesMessageReader, open_pipes_session
from dagster_pipes import PipesParams

from lambdas.runtime.contract import StepRequest
from media_assets.dispatch.errors import ManifestError
from media_assets.dispatch.targets import OnProgress, unheard

if TYPE_CHECKING:
    from dagster._core.pipes.context import PipesMessageHandler


class AnswerMessageReader(PipesMessageReader):
    """Hands messages to Dagster, however they came. One per session. `heard` counts them.

    What workers tell of their progress goes to `on_progress`, and Dagster keeps none of it.
    """

    def __init__(self, on_progress: OnProgress = unheard) -> None:
        self._handler: PipesMessageHandler | None = None
        self._on_progress = on_progress
        self.heard = 0

    @contextmanager
    def read_messages(self, handler: PipesMessageHandler) -> Iterator[PipesParams]:
        self._handler = handler
        try:
            yield {"messages": "answer"}
        finally:
            self._handler = None

    def consume(self, messages: Any) -> None:
        """Raises ManifestError for what aren't Pipes messages. What `on_progress` raises is no fault of theirs."""
        assert self._handler is not None, "consume() belongs inside an open Pipes session"
        for told in self._taken(messages):
            self._on_progress(*told)

    def _taken(self, messages: Any) -> Iterator[tuple[str, int]]:
        """What the messages tell of progress, an item's id and percent; the others go to Dagster."""
        assert self._handler is not None
        try:
            for message in messages:
                if message["method"] == "report_custom_message":
                    told = message["params"]["payload"]["progress"]
                    yield str(told["item_id"]), int(told["percent"])
                else:
                    self._handler.handle_message(message)
                self.heard += 1
        except Exception as error:  # Dagster's handler takes messages apart without looking at them first
            raise ManifestError(f"message of a kind that Pipes doesn't have ({type(error).__name__})") from error

    def no_messages_debug_text(self) -> str:
        return "Attempted to read messages from the answer to a batch."


@contextmanager
def batch_session(
    context: AssetExecutionContext,
    injector: PipesContextInjector,
    request: StepRequest,
    on_progress: OnProgress = unheard,
) -> Iterator[tuple[dict[str, Any], AnswerMessageReader]]:
    """A Pipes session for one batch: the event to send, and the reader for the messages that come back."""
    reader = AnswerMessageReader(on_progress)
    extras = {
        "batch_id": request.batch_id,
        "attempt_id": request.attempt_id,
        "items": len(request.items),
        "correlation_ids": [item.correlation_id for item in request.items],
    }
    with open_pipes_session(context=context, context_injector=injector, message_reader=reader, extras=extras) as session:
        yield {"request": request.model_dump(mode="json"), **session.get_bootstrap_env_vars()}, reader
