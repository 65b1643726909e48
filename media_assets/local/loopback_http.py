"""Requests to this machine's own servers; no proxy is asked."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_SECONDS = 5


def answers(url: str) -> bool:
    """Whether a GET brings a status below 400."""
    try:
        with _OPENER.open(url, timeout=_TIMEOUT_SECONDS):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def post_json(url: str, body: dict[str, Any]) -> Any:
    """The decoded answer. Raises urllib.error.URLError, ConnectionError or TimeoutError."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with _OPENER.open(request, timeout=_TIMEOUT_SECONDS) as response:
        return json.load(response)
