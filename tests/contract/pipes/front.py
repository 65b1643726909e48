"""A server in front of the emulator: it passes on what dispatch asks of AWS, and answers some of it as AWS would.

The emulator never throttles, has capacity for everything and forbids nothing.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from media_assets.local.ports import LOOPBACK


@dataclass(frozen=True)
class Call:
    """A request to AWS. `operation` is ECS's own name for it, or what was asked of S3 and Lambda: `GET /bucket/key`."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        target = self.headers.get("x-amz-target", "")
        return target.rpartition(".")[2] or f"{self.method} {urlsplit(self.path).path}"

    @property
    def parameters(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Cut(Exception):
    """Raised by a rule: the connection breaks before there is an answer."""


Ask = Callable[[Call], Reply]
Act = Callable[[Call, Ask], Reply]


@dataclass
class _Rule:
    matches: Callable[[str], bool]
    act: Act
    times: float


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed or cancelled doesn't wait for its answer; anything else is a fault of this server."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class Front:
    """Serves from the start. `calls` are those since the last `forget`."""

    def __init__(self, emulator: str) -> None:
        self._emulator = urlsplit(emulator).netloc
        self._lock = threading.Lock()
        self._rules: list[_Rule] = []
        self.calls: list[Call] = []
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                try:
                    reply = front._reply(Call(self.command, self.path, headers, body))
                except Cut:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection", "date", "server"}:
                        self.send_header(name, value)
                length = reply.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(reply.body))
                self.send_header("Content-Length", length)
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _serve

            def log_message(self, *_: Any) -> None:
                """Nobody reads it."""

        self._server = _Server((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def forget(self) -> None:
        with self._lock:
            self._rules = []
            self.calls = []

    def on(self, operation: str | Callable[[str], bool], act: Act, times: float = float("inf")) -> None:
        """What to do about an operation, the first `times`. The first rule that matches counts."""
        matches = operation if callable(operation) else operation.__eq__
        with self._lock:
            self._rules.append(_Rule(matches, act, times))

    def refuse(self, operation: str, code: str, message: str = "", times: float = float("inf")) -> None:
        """An error of ECS."""
        self.on(operation, lambda *_: _json({"__type": code, "message": message}, 400), times)

    def forbid(self, matches: Callable[[str], bool]) -> None:
        """S3's 403."""
        body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.on(matches, lambda *_: Reply(403, {"Content-Type": "application/xml"}, body))

    def answer(self, operation: str, told: dict[str, Any], times: float = float("inf")) -> None:
        self.on(operation, lambda *_: _json(told), times)

    def edit(self, operation: str, change: Callable[[Any], Any], times: float = float("inf")) -> None:
        """Pass it on and change what is answered."""
        self.on(operation, lambda call, ask: _json(change(json.loads(ask(call).body))), times)

    def asked(self, operation: str) -> list[Call]:
        with self._lock:
            return [call for call in self.calls if call.operation == operation]

    def _reply(self, call: Call) -> Reply:
        with self._lock:
            self.calls.append(call)
            rule = next((each for each in self._rules if each.times > 0 and each.matches(call.operation)), None)
            if rule:
                rule.times -= 1
        return rule.act(call, self._ask) if rule else self._ask(call)

    def _ask(self, call: Call) -> Reply:
        connection = http.client.HTTPConnection(self._emulator, timeout=60)
        try:
            connection.request(call.method, call.path, call.body, {**call.headers, "connection": "close"})
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def _json(told: Any, status: int = 200) -> Reply:
    return Reply(status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(told).encode())
