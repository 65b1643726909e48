"""What was ever written to a log: `golden/<type>.v<version>.json` has a stored body of every version of every event, and the
JSON schema that the version had when it was the newest (StepFailed.v1 is older than this custom).

The bodies of one type tell the same fact. A file that is there is never changed: a payload that changes gets the next
version, its file, and a step in upcast.sql from the version before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from media_assets.eventlog.catalogue import Payload

GOLDEN = Path(__file__).parent / "golden"

Golden = Mapping[tuple[str, int], Mapping[str, Any]]


def golden() -> Golden:
    """{(type, version): {"body": …, "schema": …}}"""
    found = {}
    for file in GOLDEN.iterdir():
        name, version = file.name.removesuffix(".json").split(".v")
        found[name, int(version)] = json.loads(file.read_text())
    return found


def schema_of(payload: type[Payload]) -> dict[str, Any]:
    """What a payload can be, without the words that explain it."""

    def plain(value: Any) -> Any:
        match value:
            case dict():
                is_prose = {name for name in ("title", "description") if isinstance(value.get(name), str)}
                return {name: plain(each) for name, each in value.items() if name not in is_prose}
            case list():
                return [plain(each) for each in value]
            case _:
                return value

    schema: dict[str, Any] = plain(payload.model_json_schema())
    return schema
