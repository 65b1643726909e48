"""Running the thumbnail step on one file, and looking at what it wrote."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image

from lambdas.runtime.contract import ItemError, ItemOutcome
from lambdas.thumbnail.handler import handler
from tests.unit.conftest import Bucket, outcomes

SIZES = (256, 800, 1600)
PARAMETERS = {
    "sizes": [256, 800, 1600],
    "quality": 80,
    "method": 2,
    "max_bytes": 100_000_000,
    "max_pixels": 100_000_000,
}

Colour = tuple[int, ...]


@dataclass(frozen=True)
class Thumbnails:
    """The decoded pictures and the stored bytes by size, and the step's result."""

    outcome: ItemOutcome
    pictures: dict[int, Image.Image]
    files: dict[int, bytes]

    @property
    def largest(self) -> Image.Image:
        return self.pictures[1600]


def thumbnails(bucket: Bucket, body: bytes, name: str = "picture", **parameters: object) -> Thumbnails:
    """Upload a file, make its thumbnails, fetch them as a client would."""
    outcome = outcomes(handler, "thumbnail", PARAMETERS | parameters, bucket.put(body, name))[0]
    assert outcome.error is None, outcome.error
    files = {output.attributes["size"]: bucket.get(output.key) for output in outcome.outputs}
    pictures: dict[int, Image.Image] = {size: Image.open(io.BytesIO(file)) for size, file in files.items()}
    for picture in pictures.values():
        picture.load()
    return Thumbnails(outcome, pictures, files)


def rejection(bucket: Bucket, body: bytes, **parameters: object) -> ItemError:
    """Upload a file that can't have thumbnails; why not."""
    outcome = outcomes(handler, "thumbnail", PARAMETERS | parameters, bucket.put(body))[0]
    assert outcome.error is not None
    assert outcome.outputs == ()
    return outcome.error


def corner_colours(image: Image.Image) -> tuple[Colour, ...]:
    """The colours in the middle of the four quarters: upper left, upper right, lower left, lower right."""
    right, bottom = image.width * 3 // 4, image.height * 3 // 4
    points = [(image.width // 4, image.height // 4), (right, image.height // 4)]
    points += [(image.width // 4, bottom), (right, bottom)]
    return tuple(colour(image, *point) for point in points)


def colour(image: Image.Image, x: int | None = None, y: int | None = None) -> Colour:
    """The colour at a point, by default the centre."""
    value = image.getpixel((image.width // 2 if x is None else x, image.height // 2 if y is None else y))
    assert isinstance(value, tuple)
    return value


def near(actual: Colour, expected: Colour, tolerance: int = 12) -> bool:
    return len(actual) == len(expected) and all(abs(a - b) <= tolerance for a, b in zip(actual, expected, strict=True))
