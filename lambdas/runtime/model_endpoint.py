"""One HTTP conversation with an OpenAI-compatible endpoint: its client, its key, and what its errors mean for a file.

Only steps whose provider is "openai" import this module: the SDK takes most of a second to load.

The SDK supplies addresses, authentication, timeouts and error classes. Requests go through its generic `post`, because
the typed methods add fields that not every endpoint takes (an encoding_format for embeddings, for one).
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx2
import openai
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError

OPENAI_BASE_URL = "https://api.openai.com/v1"
ANSWER_SECONDS = 240.0
"""The longest wait for a whole answer; an attempt at an item has 5 minutes."""
KEPT_BACK_SECONDS = 2.0
"""What a call leaves of the invocation's time for storing its result and answering."""
LEAST_SECONDS = 1.0
MAX_ANSWER_BYTES = 8_000_000
KEY_SECONDS = 300.0
"""How long a key is used before it is read again, so that a rotated one is picked up."""


@dataclass(frozen=True)
class Answer:
    """The endpoint's JSON answer, and the tokens it says it used."""

    body: dict[str, Any]
    tokens_in: int
    tokens_out: int

    def invalid(self, reason: str) -> StepError:
        """The error of an answer that was paid for and can't be used."""
        return self._error(ErrorCode.MODEL_ANSWER_INVALID, reason)

    def refused(self, reason: str) -> StepError:
        """The error of an answer that declines; asking again wouldn't help."""
        return self._error(ErrorCode.MODEL_REFUSED, reason, retryable=False)

    def _error(self, code: ErrorCode, reason: str, retryable: bool | None = None) -> StepError:
        return StepError(code, reason, retryable, tokens_in=self.tokens_in, tokens_out=self.tokens_out)


def ask(path: str, body: dict[str, Any], *, base_url: str | None, remaining_milliseconds: Callable[[], int]) -> Answer:
    """POST `body` to `path` (e.g. "/chat/completions") below `base_url`, OpenAI's own if None. One try: retries are
    dispatch's.

    Raises StepError: MODEL_UNAVAILABLE (429, 5xx, no answer in time, connection lost), MODEL_NOT_CONFIGURED (key,
    model, address or account), MODEL_REFUSED (the content was declined), MODEL_ANSWER_INVALID (JSON, but no answer),
    TIMEOUT (too little of the invocation left to ask). Their messages hold no key, no address and nothing that the
    endpoint wrote but its error code.
    """
    seconds = min(ANSWER_SECONDS, remaining_milliseconds() / 1000 - KEPT_BACK_SECONDS)
    if seconds < LEAST_SECONDS:
        raise StepError(ErrorCode.TIMEOUT, "the invocation's time ran out before the model was asked")
    client = _client(_checked(base_url or OPENAI_BASE_URL), _api_key())
    # `from None` throughout: the SDK's exceptions carry the request, with key and content.
    try:
        response = client.post(path, body=body, cast_to=httpx2.Response, options={"timeout": seconds})
    except openai.APITimeoutError:
        raise StepError(ErrorCode.MODEL_UNAVAILABLE, f"the model endpoint did not answer within {seconds:.0f} s") from None
    except openai.APIConnectionError as error:
        reason = type(error.__cause__).__name__
        raise StepError(ErrorCode.MODEL_UNAVAILABLE, f"the connection to the model endpoint failed ({reason})") from None
    except openai.APIStatusError as error:
        if error.status_code == 401:
            _forget_key()
        raise _meaning(error.status_code, error.response.text, error.response.headers.get("retry-after")) from None
    return _read(response)


def _read(response: httpx2.Response) -> Answer:
    try:
        body = json.loads(response.content)
    except ValueError:
        if "json" in response.headers.get("content-type", "json"):
            raise StepError(ErrorCode.MODEL_ANSWER_INVALID, "the model endpoint's answer is broken JSON") from None
        raise StepError(
            ErrorCode.MODEL_NOT_CONFIGURED,
            "the model endpoint answers with something other than JSON: check the base URL",
        ) from None
    if not isinstance(body, dict):
        raise StepError(ErrorCode.MODEL_ANSWER_INVALID, "the model endpoint's answer is not a JSON object")
    if body.get("error"):  # gateways answer 200 and report their upstream's failure inside
        status = body["error"].get("code") if isinstance(body["error"], dict) else None
        raise _meaning(status if isinstance(status, int) and status >= 400 else 502, json.dumps(body["error"]))
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Answer(
        body=body,
        tokens_in=_count(usage.get("prompt_tokens", usage.get("total_tokens"))),  # Voyage has only a total
        tokens_out=_count(usage.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


# ---- what an error status means -------------------------------------------------------------------------------------

_DECLINES_CONTENT = re.compile(
    r"content[_ ](filter|policy|management)|moderation|flagged|safety|responsible_?ai"
    r"|(invalid|unsupported|corrupt\w*|unreadable|process|parse|decode|load)[_ ]+(the[_ ]|input[_ ]|base64[_ ])*image"
    r"|image[_ ](parse|too|format|content|data|dimensions|media type)"
    r"|context[_ ]length|too many tokens|maximum.{0,20}tokens"
)
_CONCERNS_SETUP = re.compile(
    r"api[_ ]key|credit|billing|payment"
    r"|(invalid|unknown)[_ ]model|model[_ ]not[_ ]found|model.{0,80}(does not exist|not found|not supported)"
    r"|(unsupported|unknown)[_ ](parameter|name)|response_format|json_schema|max_(completion_)?tokens"
    r"|output_dimension|\bdimensions\b|argument.{0,60}not supported"
)
_MACHINE_CODES = [re.compile(rf'"{name}"\s*:\s*"([a-zA-Z_]{{3,60}})"') for name in ("code", "status", "type")]


def _meaning(status: int, text: str, retry_after: str | None = None) -> StepError:
    """What a status and the body that came with it say about the file, the settings or the endpoint.

    Endpoints agree on statuses and on little else: one answers 400 for a wrong key, another 403 for a picture that its
    moderation flags. So 400, 403, 413 and 422 are also read for the words that tell these apart. What stays unexplained
    is held against the file, retryable: as an outage, one picture that an endpoint can't digest would stop all others.
    """
    said = text[:4000].lower()
    code = next((found.group(1).lower() for pattern in _MACHINE_CODES if (found := pattern.search(text[:4000]))), None)
    answered = f"the model endpoint answered {status}" + (f" ({code})" if code else "")

    if status in (408, 409, 425, 429) or status >= 500:
        wait = f"; it asks to wait {retry_after} s" if retry_after and re.fullmatch(r"\d{1,6}", retry_after) else ""
        spent = "; the account's quota is used up" if "insufficient_quota" in said else ""
        return StepError(ErrorCode.MODEL_UNAVAILABLE, answered + wait + spent)
    if status in (400, 403, 413, 415, 422):
        if _DECLINES_CONTENT.search(said):
            return StepError(ErrorCode.MODEL_REFUSED, f"{answered}: it declines this content", retryable=False)
        if status != 403 and not _CONCERNS_SETUP.search(said):
            return StepError(ErrorCode.MODEL_REFUSED, f"{answered} to this request", retryable=True)
    advice = {
        401: "check the API key in Secrets Manager",
        402: "check the account's credit",
        403: "the API key has no access to this model",
        404: "check the model's name and the base URL",
    }.get(status, "check the model's name, the base URL and the API key")
    return StepError(ErrorCode.MODEL_NOT_CONFIGURED, f"{answered}: {advice}")


# ---- client ---------------------------------------------------------------------------------------------------------


def _checked(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 443) > 0
    except ValueError:  # of .port
        usable = False
    if not usable:
        raise StepError(ErrorCode.MODEL_NOT_CONFIGURED, "the model endpoint's base URL is not an http(s) address")
    return base_url


@lru_cache(maxsize=2)  # a key and its successor
def _client(base_url: str, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=base_url,
        api_key=api_key,
        max_retries=0,
        http_client=openai.DefaultHttpxClient(
            follow_redirects=False, event_hooks={"request": [_note_start], "response": [_bound]}
        ),
    )


def _note_start(request: httpx2.Request) -> None:
    request.extensions["started"] = time.monotonic()


def _bound(response: httpx2.Response) -> None:
    """Hold the whole answer to the request's timeout: httpx's own holds only for one read, and some gateways send a
    blank every few seconds while they wait."""
    extensions = response.request.extensions
    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = _BoundedStream(response.stream, extensions["started"] + extensions["timeout"]["read"])


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        size_bytes = 0
        for chunk in self._stream:
            size_bytes += len(chunk)
            if time.monotonic() > self._deadline:
                raise httpx2.ReadTimeout("the answer took too long")
            if size_bytes > MAX_ANSWER_BYTES:
                raise httpx2.ReadError(f"the answer has more than {MAX_ANSWER_BYTES} bytes")
            yield chunk

    def close(self) -> None:
        self._stream.close()


# ---- key ------------------------------------------------------------------------------------------------------------

_SECRETS_CONFIG = Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})
_known_key: tuple[str, float] | None = None
"""The key and when, on the monotonic clock, it was read."""


def _forget_key() -> None:
    global _known_key
    _known_key = None


def _api_key() -> str:
    """The key in the secret that MODEL_API_KEY_SECRET names, read at most every KEY_SECONDS and after a 401."""
    global _known_key
    if _known_key is None or time.monotonic() - _known_key[1] > KEY_SECONDS:
        _known_key = (_read_key(), time.monotonic())
    return _known_key[0]


def _read_key() -> str:
    name = os.environ.get("MODEL_API_KEY_SECRET")
    if not name:
        raise StepError(ErrorCode.MODEL_NOT_CONFIGURED, "MODEL_API_KEY_SECRET names no secret to read the API key from")
    try:
        client = boto3.client("secretsmanager", config=_SECRETS_CONFIG)
        key = client.get_secret_value(SecretId=name).get("SecretString", "").strip()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("ResourceNotFoundException", "InvalidRequestException", "DecryptionFailure") or "Denied" in code:
            raise StepError(
                ErrorCode.MODEL_NOT_CONFIGURED, f"the secret with the model's API key can't be read ({code})"
            ) from None
        raise StepError(ErrorCode.MODEL_UNAVAILABLE, f"Secrets Manager answered {code}") from None
    except BotoCoreError as error:
        raise StepError(ErrorCode.MODEL_UNAVAILABLE, f"Secrets Manager can't be reached ({type(error).__name__})") from None
    # Anything else would end up, quoted, in an exception about an illegal header.
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise StepError(ErrorCode.MODEL_NOT_CONFIGURED, "the secret with the model's API key holds no usable key")
    return key
