"""An HTTP server that speaks as much of the OpenAI protocol as the model steps use, and can be made to misbehave.

It is as particular as the real ones: a wrong key is 401, an unknown model 404, a schema that breaks the rules of strict
mode, a picture that doesn't decode or a field that a model doesn't know is 400. Left alone it answers every request
well; `server.next(...)` queues other replies, used up one a request.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

CHAT_MODEL = "fake-vision-1"
EMBEDDING_MODELS = {"text-embedding-3-small": 1536, "voyage-3.5": 1024, "fixed-size-embedding": 768}
"""And the size of their vectors unless a request says otherwise."""
API_KEY = "sk-test-0123456789"


@dataclass(frozen=True)
class Reply:
    """One answer, and what goes wrong on its way."""

    status: int = 200
    body: Any = None
    """Sent as JSON; bytes are sent as they are."""
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    """Silence before the first byte."""
    blanks: int = 0
    """Blanks sent before the body, one every 0.1 s, as gateways do to keep a connection open."""
    cut_after: int | None = None
    """The connection is reset after so many bytes of the body."""
    meanwhile: Callable[[], object] = lambda: None
    """Called before the answer is sent."""


def says(content: Any, finish_reason: str = "stop", refusal: str | None = None, **changes: Any) -> Reply:
    """A chat completion whose message is `content`: text, or a value that is sent as JSON text."""
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason, "logprobs": None}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": CHAT_MODEL,
        "choices": [choice],
        "usage": {"prompt_tokens": 1200, "completion_tokens": 340, "total_tokens": 1540},
    }
    return Reply(body=body | changes)


def gives(*vectors: Any) -> Reply:
    """An answer to an embeddings request with these vectors."""
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    return Reply(body={"object": "list", "data": data, "usage": {"prompt_tokens": 9, "total_tokens": 9}})


def fails(status: int, code: str | None = None, message: str = "no", **headers: str) -> Reply:
    """An error in OpenAI's form. Keyword arguments are headers, underscores for hyphens."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"error": error}, named)


def an_analysis(**changes: Any) -> dict[str, Any]:
    """An answer to the analysis prompt: boxes in thousandths of the picture."""
    chair = {
        "caption": "wooden chair",
        "description": "A wooden chair with a wicker seat.",
        "category": "furniture",
        "estimated_value": 45.0,
        "confidence": 0.9,
        "bounding_box": {"x": 100, "y": 200, "width": 300, "height": 400},
    }
    return {
        "category": "furniture",
        "summary": "A wooden chair stands beside a window.",
        "tags": ["chair", "window", "wood"],
        "objects": [chair],
        "text": [],
        "dominant_colours": [{"hex": "#8b5a2b", "name": "brown", "share": 0.5}],
    } | changes


def some_variations(request: dict[str, Any]) -> dict[str, Any]:
    """An answer to a request for variations of a text: as many as it wants."""
    wanted = json.loads(request["messages"][-1]["content"])
    return {"texts": [f"{wanted['base_text'][:100]} ({number})" for number in range(1, wanted["count"] + 1)]}


class ModelServer:
    """Serves on a free port of 127.0.0.1 while it is entered. `requests` are the bodies received, oldest first."""

    def __init__(self, api_key: str = API_KEY) -> None:
        self.api_key = api_key
        self.requests: list[dict[str, Any]] = []
        self._replies: deque[Reply] = deque()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Exchange", (_Exchange,), {"server_state": self}))
        self._http.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def next(self, *replies: Reply) -> None:
        """Answer the next requests with these, whatever they are."""
        self._replies.extend(replies)

    def reset(self) -> None:
        """Forget queued replies, received requests and a changed key."""
        self._replies.clear()
        self.requests.clear()
        self.api_key = API_KEY

    def __enter__(self) -> ModelServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def reply_to(self, path: str, key: str, request: dict[str, Any]) -> Reply:
        self.requests.append(request)
        if self._replies:
            return self._replies.popleft()
        if key != f"Bearer {self.api_key}":
            # The real one quotes part of the key, too.
            return fails(401, "invalid_api_key", f"Incorrect API key provided: {key[7:]}.")
        if path == "/v1/chat/completions":
            return _chat(request)
        if path == "/v1/embeddings":
            return _embeddings(request)
        return fails(404, None, f"Invalid URL (POST {path})")


def _chat(request: dict[str, Any]) -> Reply:
    unknown = request.keys() - {"model", "messages", "response_format", "max_completion_tokens"}
    if unknown:
        return fails(400, "unknown_parameter", f"Unknown parameter: '{min(unknown)}'.")
    if request["model"] != CHAT_MODEL:
        return fails(404, "model_not_found", f"The model `{request['model']}` does not exist.")
    form = request["response_format"]["json_schema"]
    if not form["strict"] or (fault := _breach_of_strict_mode(form["schema"], "schema")):
        return fails(400, "invalid_schema", f"Invalid schema for response_format '{form['name']}': {fault}")
    for message in request["messages"]:
        for part in message["content"] if isinstance(message["content"], list) else []:
            if part["type"] == "image_url" and not _decodes(part["image_url"]["url"]):
                return fails(400, "invalid_image", "You uploaded an unsupported image.")
    return says(some_variations(request) if form["name"] == "variations" else an_analysis())


_STRICT_KEYWORDS = {"type", "enum", "description", "anyOf", "items", "properties", "required", "additionalProperties"}


def _breach_of_strict_mode(schema: dict[str, Any], where: str) -> str | None:
    """What OpenAI's strict mode would refuse about a schema, and where; None if nothing."""
    if extra := schema.keys() - _STRICT_KEYWORDS:
        return f"{where}: {min(extra)} is not permitted"
    children = [(f"{where}.items", schema["items"])] if "items" in schema else []
    children += [(f"{where}.anyOf[{i}]", choice) for i, choice in enumerate(schema.get("anyOf", []))]
    if schema.get("type") == "object":
        if schema.get("additionalProperties") is not False:
            return f"{where}: additionalProperties must be false"
        if sorted(schema["required"]) != sorted(schema["properties"]):
            return f"{where}: every property must be required"
        children += [(f"{where}.{name}", value) for name, value in schema["properties"].items()]
    return next((fault for name, child in children if (fault := _breach_of_strict_mode(child, name))), None)


def picture_in(request: dict[str, Any]) -> Image.Image:
    """The picture that a chat request holds."""
    parts = request["messages"][-1]["content"]
    url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
    header, _, data = url.partition(",")
    assert header == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)), formats=["JPEG"])


def _decodes(url: str) -> bool:
    try:
        Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])), formats=["JPEG", "PNG", "WEBP"]).load()
    except OSError:
        return False
    return True


def _embeddings(request: dict[str, Any]) -> Reply:
    model = request["model"]
    if model not in EMBEDDING_MODELS:
        return fails(404, "model_not_found", f"The model `{model}` does not exist.")
    size_field = {"text": "dimensions", "voya": "output_dimension"}.get(model[:4], "")
    if unknown := request.keys() - {"model", "input", size_field}:
        return fails(400, None, f"Argument '{min(unknown)}' is not supported by our API")
    if not request["input"]:
        return fails(400, None, "'$.input' is invalid.")
    return gives(embedding_of(request["input"], request.get(size_field, EMBEDDING_MODELS[model])))


def embedding_of(text: str, dimensions: int) -> list[float]:
    """A vector of length 2 (endpoints don't all normalise) in which texts that share words are alike."""
    sums = [0.0] * dimensions
    for word in re.findall(r"\w+", text.lower()) or [text]:
        stream = hashlib.shake_256(word.encode()).digest(2 * dimensions)
        for i, (value,) in enumerate(struct.iter_unpack("<h", stream)):
            sums[i] += value
    length = math.hypot(*sums)
    return [2 * value / length for value in sums]


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: ModelServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = self.server_state.reply_to(self.path, self.headers.get("authorization", ""), request)
        reply.meanwhile()
        time.sleep(reply.delay_seconds)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in ({"content-type": "application/json"} | reply.headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body) + reply.blanks))
        self.end_headers()
        try:
            for _ in range(reply.blanks):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.1)
            self.wfile.write(body[: reply.cut_after])
        except ConnectionError:  # the client gave up, as some tests want it to
            self.close_connection = True
        if reply.cut_after is not None:
            # Zero linger makes the close a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: tests look at `requests`."""
