"""A photo through the step functions themselves, from probe to embed and detect, without anything that calls them.

What the orchestrated stack is measured against does its work with this, so that the difference is never in the work. It
runs in the project's environment and in that of what is compared with.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lambdas.analyze.handler import process as analyze
from lambdas.detect.handler import process as detect
from lambdas.embed.handler import process as embed
from lambdas.probe.handler import probe
from lambdas.runtime.contract import BatchItem, OutputObject
from lambdas.runtime.step import Process, StepContext, StepResult
from lambdas.runtime.storage import Storage
from lambdas.thumbnail.handler import thumbnail
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.embed import text_of

FUNCTIONS: Mapping[str, Process] = {
    "probe": probe,
    "thumbnail": thumbnail,
    "analyze": analyze,
    "embed": embed,
    "detect": detect,
}
USER = "bench"
Row = tuple[Any, ...]
Rows = dict[str, list[Row]]
"""By read model, in the order of COLUMNS."""

_RESULT = "item_id version_id user_id generation recipe created_at"
COLUMNS = {
    table: tuple(columns.split())
    for table, columns in {
        "items": "item_id user_id bucket key version_id etag size_bytes hour received_at state"
        " kind format content_type width height orientation exif",
        "thumbnails": f"{_RESULT} size width height key sha256 size_bytes content_type placeholder",
        "analyses": f"{_RESULT} analysis_id provider model category summary tags objects text dominant_colours"
        " tokens_in tokens_out",
        "embeddings": f"{_RESULT} analysis_id model dimensions embedding",
        "detections": f"{_RESULT} ordinal model label confidence x y width height",
    }.items()
}


class LocalFolder(Storage):
    """Sources are paths of local files; what is written goes below a folder."""

    def __init__(self, folder: Path) -> None:
        self.bytes_in = 0
        self._folder = folder

    def read(self, item: BatchItem, limit_bytes: int) -> bytes:
        return Path(item.key).read_bytes()

    def read_range(self, item: BatchItem, start: int, length: int) -> bytes:
        with Path(item.key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def read_key(self, bucket: str, key: str) -> bytes:
        return (self._folder / key).read_bytes()

    def write(
        self, bucket: str, key: str, body: bytes, content_type: str, attributes: dict[str, Any] | None = None
    ) -> OutputObject:
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        digest = hashlib.sha256(body).hexdigest()
        return OutputObject(
            key=key, sha256=digest, size_bytes=len(body), content_type=content_type, attributes=attributes or {}
        )


@dataclass(frozen=True)
class Photo:
    """An upload: where its bytes are. `storage` gets its thumbnails."""

    bucket: str
    key: str
    version_id: str
    size_bytes: int
    storage: Storage
    item_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def run(self, step: str, facts: Mapping[str, Any]) -> StepResult:
        """One step, given what earlier ones found. Raises StepError if it refuses the photo."""
        digest, parameters = _recipe(step)
        item = BatchItem(
            item_id=self.item_id,
            bucket=self.bucket,
            key=self.key,
            version_id=self.version_id,
            size_bytes=self.size_bytes,
            generation=0,
            output_prefix=f"derived/{self.item_id}/{step}/{digest}/{self.version_id}/0/",
            input=dict(facts),
        )
        context = StepContext(
            step=step,
            recipe=digest,
            parameters=parameters,
            attempt=1,
            storage=self.storage,
            log=logging.getLogger(step),
            remaining_milliseconds=lambda: 900_000,
        )
        return FUNCTIONS[step](item, context)


def facts_of(probed: Mapping[str, Any], thumbnails: Mapping[int, str]) -> dict[str, Any]:
    """What steps that look at a thumbnail read; `thumbnails` are keys by size."""
    size = {"width": probed["upright_width"], "height": probed["upright_height"]}
    return {**size, "exif": probed["exif"], "thumbnails": thumbnails}


def process(photo: Photo) -> Rows:
    """All steps of a photo; the answer is what our read models hold of it."""
    probed = photo.run("probe", {}).result
    pictures = photo.run("thumbnail", {})
    facts = facts_of(probed, {output.attributes["size"]: output.key for output in pictures.outputs})
    seen = photo.run("analyze", facts).result
    vector = photo.run("embed", {"text": text_of(seen["analysis"])}).result
    things = photo.run("detect", facts).result

    now = datetime.now(UTC)
    known = {
        **{"item_id": photo.item_id, "user_id": USER, "version_id": photo.version_id, "generation": 0},
        **{"bucket": photo.bucket, "key": photo.key, "etag": "", "size_bytes": photo.size_bytes, "state": "done"},
        **{"hour": now.replace(minute=0, second=0, microsecond=0).isoformat(), "received_at": now.isoformat()},
        **{"created_at": now.isoformat(), "analysis_id": str(uuid.uuid4()), "tokens_in": 0, "tokens_out": 0},
    }

    def row(table: str, *more: Mapping[str, Any], step: str = "", **columns: Any) -> Row:
        found = {name: value for each in (known, *more, columns) for name, value in each.items()}
        found["recipe"] = _recipe(step)[0] if step else ""
        return tuple(_plain(found[column]) for column in COLUMNS[table])

    return {
        "items": [row("items", probed, facts)],
        "thumbnails": [
            row("thumbnails", pictures.result, output.model_dump(), output.attributes, step="thumbnail")
            for output in pictures.outputs
        ],
        "analyses": [row("analyses", seen, seen["analysis"], step="analyze")],
        "embeddings": [row("embeddings", vector, step="embed", embedding=str(vector["vector"]))],
        "detections": [
            row("detections", things, thing, _box(thing["bbox"]), step="detect", ordinal=ordinal)
            for ordinal, thing in enumerate(things["detections"])
        ],
    }


def local(path: Path, folder: Path) -> Photo:
    """A photo in a local file, whose thumbnails go below `folder`."""
    return Photo("local", str(path), "1", path.stat().st_size, LocalFolder(folder))


def warm() -> None:
    """Load the models, as a process does at its first photo."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.jpg"
        Image.fromarray(noise).save(path)
        process(local(path, Path(folder)))


@cache
def _recipe(step: str) -> tuple[str, dict[str, Any]]:
    """Digest, and parameters with limits, of the embedded models and default settings."""
    settings = Settings(model_provider="local")
    recipe = STEPS[step].recipe(settings)
    return recipe.digest, {**recipe.parameters, **STEPS[step].limits(settings)}


def _box(bbox: list[int]) -> dict[str, int]:
    return dict(zip(("x", "y", "width", "height"), bbox, strict=True))


def _plain(value: Any) -> Any:
    """As COPY takes it: jsonb as text."""
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value
