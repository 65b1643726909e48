"""Every accepted image has every size, decodable, of the right aspect ratio, as recorded, with no private metadata."""

import hashlib
import io
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError
from dagster import AssetCheckExecutionContext, AssetCheckResult, asset_check
from PIL import Image
from sqlalchemy import Connection, text

from media_assets.defs.checks.scope import Findings, Scope, scope_of
from media_assets.defs.resource import MediaResource

_OPENED_IN_A_RUN = 24
"""Pictures that are fetched and decoded in a run; standalone, all are."""


def incomplete(connection: Connection, scope: Scope, sizes: Sequence[int], fetch: Callable[[str], bytes | None]) -> Findings:
    """Problems of the scope's items whose thumbnails are done. `fetch` gives an object's bytes, None if there is none."""
    rows = connection.execute(
        text("""
            SELECT i.item_id, i.width, i.height, t.*
            FROM steps s JOIN items i USING (item_id)
            LEFT JOIN LATERAL (
                SELECT jsonb_agg(jsonb_build_object('size', size, 'width', t.width, 'height', t.height, 'key', t.key,
                                                    'sha256', sha256) ORDER BY size) AS thumbnails
                FROM thumbnails t WHERE t.item_id = i.item_id AND t.version_id = i.version_id
            ) t ON true
            WHERE s.step = 'thumbnail' AND s.state = 'done' AND i.item_id = ANY(:ids)
            ORDER BY i.item_id
        """),
        {"ids": scope.item_ids},
    ).all()
    findings = Findings(checked=len(rows))
    to_open = len(rows) * len(sizes) if scope.whole else _OPENED_IN_A_RUN
    for row in rows:
        thumbnails = row.thumbnails or []
        missing = sorted(set(sizes) - {thumbnail["size"] for thumbnail in thumbnails})
        if missing:
            findings.problems.append(f"{row.item_id}: no thumbnail of {missing} px")
        for thumbnail in thumbnails:
            label = f"{row.item_id}: the {thumbnail['size']} px thumbnail"
            findings.problems += [f"{label} {problem}" for problem in _dimensions(row.width, row.height, thumbnail)]
            if to_open > 0:
                to_open -= 1
                findings.problems += [f"{label} {problem}" for problem in _content(thumbnail, fetch(thumbnail["key"]))]
    return findings


def _dimensions(width: int, height: int, thumbnail: dict[str, Any]) -> list[str]:
    w, h, size = thumbnail["width"], thumbnail["height"], thumbnail["size"]
    problems = []
    if max(w, h) > min(size, max(width, height)):
        problems.append(f"is {w}x{h}, larger than its size or its original of {width}x{height}")
    scale = max(w, h) / max(width, height)
    if abs(w - width * scale) > 1 or abs(h - height * scale) > 1:
        problems.append(f"is {w}x{h}, not of the aspect ratio of {width}x{height}")
    return problems


def _content(thumbnail: dict[str, Any], body: bytes | None) -> list[str]:
    if body is None:
        return ["is not in the bucket"]
    if hashlib.sha256(body).hexdigest() != thumbnail["sha256"]:
        return ["has other bytes than were recorded"]
    try:
        with Image.open(io.BytesIO(body), formats=["WEBP"]) as image:
            image.load()
            private = sorted({"exif", "xmp", "comment"} & image.info.keys())
            size = image.size
    except (OSError, ValueError) as error:
        return [f"does not decode ({type(error).__name__})"]
    problems = [f"carries private metadata: {', '.join(private)}"] if private else []
    if size != (thumbnail["width"], thumbnail["height"]):
        problems.append(f"decodes to {size[0]}x{size[1]}, recorded are {thumbnail['width']}x{thumbnail['height']}")
    return problems


@asset_check(
    asset="thumbnails",
    description="Every accepted image has every size, decodable, of the right aspect ratio, with no private metadata.",
)
def thumbnails_are_complete(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
    def fetch(key: str) -> bytes | None:
        try:
            return media.s3.get_object(Bucket=media.settings.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise

    with media.store.engine.connect() as connection:
        scope = scope_of(context, connection, "thumbnail")
        return incomplete(connection, scope, media.settings.thumbnail_sizes_px, fetch).result(scope)
