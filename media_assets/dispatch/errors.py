"""What can go wrong with a batch as a whole. What goes wrong with one file is in the manifest."""

from __future__ import annotations

from lambdas.runtime.contract import ErrorCode


class TargetUnavailableError(Exception):
    """The target, or something it depends on, is down, throttling or not configured: nobody's file is to blame.

    `ran` says that a function or a task may have run all the same, and so is billed.
    """

    def __init__(self, message: str, *, ran: bool = False) -> None:
        super().__init__(message)
        self.ran = ran


class ManifestError(Exception):
    """The answer of a remote step doesn't account for the batch it was given. Nothing of it is appended."""


class BatchDiedError(Exception):
    """The worker was killed with the batch in it: `code` is TIMEOUT or CRASHED. One of its files may be the reason."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class BatchInterruptedError(Exception):
    """The worker was taken away, by somebody or for its capacity. No file is the reason: the batch may be sent again."""
