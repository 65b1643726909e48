"""thumbnail: three WebP sizes and a ThumbHash of a 12 MP JPEG, CPU time on one thread, against libvips.

Both get the file in memory, and the same sizes, quality and WebP effort. libvips is asked in two ways: every size from the
file (`thumbnail_buffer`), and each from the next larger one, which is less work. Bytes and SSIM say that the pictures are as
good: SSIM of each WebP with the whole picture scaled by Lanczos; both are means over pictures and sizes.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.figure import PEERS, Figure, Goal, compare, in_turn
from benchmarks.peer import Peer, peer
from benchmarks.photos import SAMPLES
from benchmarks.ssim import ssim
from media_assets.settings import Settings

ROUNDS = 5
DEFAULT_EFFORT = 4
"""libvips' own."""
WAYS = {"each": "sizes from the file", "chain": "sizes from one another"}
_WIDTH, _HEIGHT, _TILE = 4000, 3000, 400


@dataclass(frozen=True)
class Side:
    """A process that makes thumbnails, and where it leaves them."""

    worker: Peer
    way: str
    folder: Path

    def pictures_a_second(self, pictures: Sequence[Path], asked: dict[str, Any]) -> float:
        milliseconds = 0.0
        for picture in pictures:
            made = self.folder / picture.stem
            made.mkdir(parents=True, exist_ok=True)
            milliseconds += self.worker.ask(picture=str(picture), folder=str(made), way=self.way, **asked)
        return 1000 * len(pictures) / milliseconds

    def files(self, picture: Path) -> dict[int, Path]:
        """The thumbnails of a picture, by size."""
        return {int(path.stem): path for path in (self.folder / picture.stem).glob("*.webp")}


def run() -> Iterator[Figure]:
    settings = Settings()
    asked = {"sizes": list(settings.thumbnail_sizes_px), "quality": settings.thumbnail_quality}
    with (
        tempfile.TemporaryDirectory() as scratch,
        peer(sys.executable, "benchmarks.thumbnail_worker") as ours,
        peer(PEERS / "bin" / "python", "benchmarks.libvips_worker") as libvips,
    ):
        folder = Path(scratch)
        sides = [Side(ours, "chain", folder / "ours"), *(Side(libvips, way, folder / way) for way in WAYS)]
        photos, mosaic = make_photos(folder), make_mosaic(folder)
        for pictures, effort, called in (
            (photos, DEFAULT_EFFORT, f"photos, effort {DEFAULT_EFFORT}"),
            (mosaic, settings.thumbnail_method, "mosaic"),
            (photos, settings.thumbnail_method, "photos"),
        ):
            rates = in_turn(ROUNDS, *(_rate(side, pictures, asked | {"effort": effort}) for side in sides))
            for way, others in zip(WAYS.values(), rates[1:], strict=True):
                goal = Goal("≥", 1.0) if pictures is photos else None
                yield compare("thumbnail", f"{called}, {way}", "pictures/s", rates[0], others, goal)
        yield from _quality(sides, photos, "photos", judged=True)
        yield from _quality(sides, mosaic, "mosaic", judged=False)


def _quality(sides: Sequence[Side], pictures: Sequence[Path], called: str, *, judged: bool) -> Iterator[Figure]:
    """What the thumbnails of the last round are like, which are those of our effort."""
    sizes, likenesses = zip(*(_bytes_and_ssim(side, pictures) for side in sides), strict=True)
    for way, size, likeness in zip(WAYS.values(), sizes[1:], likenesses[1:], strict=True):
        small = Goal("≤", 1.05) if judged else None
        alike = Goal("≥", 1.0) if judged else None
        yield compare("thumbnail", f"{called}, {way}, size", "bytes", [sizes[0]], [size], small)
        yield compare("thumbnail", f"{called}, {way}, likeness", "SSIM", [likenesses[0]], [likeness], alike)


def make_photos(folder: Path) -> list[Path]:
    """The samples at 12 MP, 4:3. They are small photographs: enlarged, they have less detail than a camera's."""
    made = []
    for sample in SAMPLES:
        with Image.open(sample) as image:
            width = min(image.width, image.height * _WIDTH // _HEIGHT)
            box = (0, 0, width, width * _HEIGHT // _WIDTH)
            large = image.convert("RGB").resize((_WIDTH, _HEIGHT), Image.Resampling.BICUBIC, box=box)
        made.append(folder / f"{sample.stem}.jpg")
        large.save(made[-1], quality=88)
    return made


def make_mosaic(folder: Path) -> list[Path]:
    """One picture of 12 MP with all the detail that so many pixels can have: parts of the samples side by side, as they are."""
    images = [Image.open(sample).convert("RGB") for sample in SAMPLES]
    tiles = [image.crop((0, 0, _TILE, _TILE)) for image in images if min(image.size) >= _TILE]
    mosaic = Image.new("RGB", (_WIDTH, _HEIGHT))
    places = [(x, y) for y in range(0, _HEIGHT, _TILE) for x in range(0, _WIDTH, _TILE)]
    for number, place in enumerate(places):
        mosaic.paste(tiles[number % len(tiles)], place)
    path = folder / "mosaic.jpg"
    mosaic.save(path, quality=88)
    return [path]


def _rate(side: Side, pictures: Sequence[Path], asked: dict[str, Any]) -> Callable[[int], float]:
    return lambda _: side.pictures_a_second(pictures, asked)


def _bytes_and_ssim(side: Side, pictures: Sequence[Path]) -> tuple[float, float]:
    sizes, likenesses = [], []
    for picture in pictures:
        whole = Image.open(picture)
        for path in side.files(picture).values():
            thumbnail = Image.open(path)
            sizes.append(path.stat().st_size)
            likenesses.append(ssim(whole.resize(thumbnail.size, Image.Resampling.LANCZOS), thumbnail))
    return statistics.mean(sizes), statistics.mean(likenesses)
