"""Anchors in S3: `anchors/<position>.json`, each written once and, while its lock lasts, removed by nobody.

Object Lock protects versions, not keys: whoever may write to the bucket can lay another version or a delete marker on top.
So the oldest version of a key is what counts, and whatever lies above it shows that somebody tried.
"""

from __future__ import annotations

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from botocore.exceptions import ClientError
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PREFIX = "anchors/"
_KEY = re.compile(rf"{_PREFIX}(\d{{20}})\.json")
_THREADS = 8


class Anchor(BaseModel):
    """The hash (hex) that the log had at a position. `recorded_at` is its event's, `anchored_at` when this was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    position: int = Field(gt=0)
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")
    event_id: UUID
    recorded_at: AwareDatetime
    anchored_at: AwareDatetime
    stage: str


@dataclass(frozen=True)
class Anchors:
    """What a bucket holds, by position, and a sentence for each sign that somebody tampered with it."""

    known: tuple[Anchor, ...]
    evidence: tuple[str, ...]

    @property
    def hashes(self) -> dict[int, bytes]:
        """As `verify_chain` takes them."""
        return {anchor.position: bytes.fromhex(anchor.hash) for anchor in self.known}


class AnchorBucket:
    """A versioned bucket under Object Lock with a default retention."""

    def __init__(self, s3: S3Client, name: str) -> None:
        self._s3 = s3
        self._name = name

    def newest_position(self) -> int:
        """The highest position that was ever anchored; 0 if none was."""
        return max((_position(key) or 0 for key in self._histories()), default=0)

    def read(self, since: int = 0) -> Anchors:
        """The anchors from position `since` on as they were written, and what was done to them afterwards."""
        histories = {key: history for key, history in self._histories().items() if (_position(key) or since) >= since}
        known: list[Anchor] = []
        evidence: list[str] = []
        with ThreadPoolExecutor(_THREADS) as pool:
            for key, bodies in zip(histories, pool.map(self._bodies, histories, histories.values()), strict=True):
                evidence += _signs_of_tampering(key, histories[key], bodies)
                if anchor := _anchor(key, bodies):
                    known.append(anchor)
        return Anchors(tuple(known), tuple(evidence))

    def write(self, anchor: Anchor) -> bool:
        """Whether it was written: False if its position has an anchor, which then stays as it is."""
        try:
            self._s3.put_object(
                Bucket=self._name,
                Key=f"{_PREFIX}{anchor.position:020}.json",
                Body=anchor.model_dump_json().encode(),
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return False
        return True

    def _histories(self) -> dict[str, _History]:
        """Of every key, in order. S3 lists a key's versions newest first."""
        histories: defaultdict[str, _History] = defaultdict(_History)
        for page in self._s3.get_paginator("list_object_versions").paginate(Bucket=self._name, Prefix=_PREFIX):
            for version in page.get("Versions", []):
                histories[version["Key"]].versions.insert(0, (version["VersionId"], version["LastModified"]))
            for marker in page.get("DeleteMarkers", []):
                histories[marker["Key"]].deleted_at.insert(0, marker["LastModified"])
        return dict(sorted(histories.items()))

    def _bodies(self, key: str, history: _History) -> list[bytes]:
        return [
            self._s3.get_object(Bucket=self._name, Key=key, VersionId=version)["Body"].read() for version, _ in history.versions
        ]


@dataclass
class _History:
    """What was done to a key, oldest first: its versions with their times, and when it was deleted."""

    versions: list[tuple[str, datetime]] = field(default_factory=list)
    deleted_at: list[datetime] = field(default_factory=list)


def _position(key: str) -> int | None:
    matched = _KEY.fullmatch(key)
    return int(matched[1]) if matched else None


def _anchor(key: str, bodies: list[bytes]) -> Anchor | None:
    """What the first version says, if it is an anchor and its key's."""
    try:
        anchor = Anchor.model_validate_json(bodies[0]) if bodies else None
    except ValidationError:
        return None
    return anchor if anchor and anchor.position == _position(key) else None


def _signs_of_tampering(key: str, history: _History, bodies: list[bytes]) -> list[str]:
    signs = []
    if bodies and _anchor(key, bodies) is None:
        signs.append(f"{key} is no anchor; whoever wrote it was not us")
    for body, (_, written_at) in list(zip(bodies, history.versions, strict=True))[1:]:
        if body != bodies[0]:
            signs.append(f"{key} was overwritten with something else at {_told(written_at)}; its first version counts")
    for deleted_at in history.deleted_at:
        left = "its first version counts" if bodies else "no version of it is left"
        signs.append(f"{key} was deleted at {_told(deleted_at)}; {left}")
    return signs


def _told(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")
