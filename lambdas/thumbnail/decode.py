"""From a file's bytes to 8-bit pixels, whatever the file's format and depth."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageChops, WebPImagePlugin  # noqa: F401 - registered, so that open() knows them
from PIL.TiffImagePlugin import TiffImageFile

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.images.formats import ImageFormat
from lambdas.runtime.images.header import BROKEN, ImageHeader, truncated
from lambdas.runtime.step import StepError

Size = tuple[int, int]

_Values = NDArray[Any]

_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0
_BAND_PIXELS = 4_000_000
_KNOWN_TO_BE_COMPLETE = {ImageFormat.WEBP, ImageFormat.AVIF, ImageFormat.HEIC}
"""Their containers give their length, which the header's reader compared: here their decoders only stumble on damage."""

_TURNED_BY_THE_READER = {ImageFormat.TIFF, ImageFormat.HEIC}


@dataclass(frozen=True)
class Picture:
    """The first frame: `image` in mode L, LA, RGB, RGBA, CMYK or LAB, 8 bits a channel.

    `size` is that of the original in the image's orientation; `image` may be smaller, see `decode`. `orientation` is what
    is left to do. `icc_profile` says what the numbers mean, b"" if the file doesn't.
    """

    image: Image.Image
    size: Size
    orientation: int
    icc_profile: bytes


def decode(body: bytes, header: ImageHeader, long_side: int, max_pixels: int) -> Picture:
    """Decode an image whose header was read before. A JPEG may come out at ½, ¼ or ⅛, never below `long_side` pixels.

    Raises StepError TRUNCATED or CORRUPT if the pixels can't be decoded and TOO_MANY_PIXELS if the decoder finds more of
    them than the header declared.
    """
    name = header.format.value.upper()
    if header.format is ImageFormat.HEIC:
        _register_heic()
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(body), formats=[header.format.pillow_name])
            size = image.size
            if header.format is ImageFormat.JPEG:
                image.draft(None, fit(size, long_side))
            image.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        message = f"the picture has more pixels than its header says; the limit is {max_pixels:,}"
        raise StepError(ErrorCode.TOO_MANY_PIXELS, message) from error
    except (*BROKEN, RuntimeError) as error:
        if header.format not in _KNOWN_TO_BE_COMPLETE and (isinstance(error, EOFError) or "truncated" in str(error)):
            raise truncated(name, len(body)) from error
        raise StepError(ErrorCode.CORRUPT, f"the {name} file's pixels are damaged") from error
    orientation = 1 if header.format in _TURNED_BY_THE_READER else header.orientation
    return Picture(_to_eight_bits(image), size, orientation, image.info.get("icc_profile") or b"")


def fit(size: Size, long_side: int) -> Size:
    """`size` scaled down, if need be, so that its longer side has `long_side` pixels; no side becomes 0."""
    scale = min(1.0, long_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _register_heic() -> None:
    from pillow_heif import register_heif_opener  # 40 ms that only HEIC files cost

    register_heif_opener(thumbnails=False)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    mode = image.mode
    if mode.startswith("I;16"):
        return _scale_16_bits(image)
    if mode in ("I", "F"):
        return _scale_range(image)
    if mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Adobe stores CMYK inverted and marks it so; Pillow takes every CMYK JPEG for Adobe's.
        return ImageChops.invert(image)
    if image.has_transparency_data:
        return image.convert("LA" if mode in ("1", "L", "LA", "La") else "RGBA")
    if mode == "1":
        return image.convert("L")
    return image if mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")


def _scale_16_bits(image: Image.Image) -> Image.Image:
    bits, inverted = 16, False
    if isinstance(image, TiffImageFile):
        bits = cast(int, image.tag_v2.get(_BITS_PER_SAMPLE, (16,))[0])
        inverted = image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO

    def scale(values: _Values) -> _Values:
        scaled = values >> (bits - 8)
        return 255 - scaled if inverted else scaled

    return _map_bands(image, scale)


def _scale_range(image: Image.Image) -> Image.Image:
    """32-bit numbers have no agreed white.

    Integers up to 255 and up to 65,535 are taken for 8 and 16 bits, floats up to 1 for shares of white and up to 255 for
    8 bits; anything else is stretched from its darkest to its brightest value.
    """
    low, high = _range(image)
    for white in (1.0, 255.0) if image.mode == "F" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            low, high = 0.0, white
            break
    factor = 255.0 / ((high - low) or 1.0)

    def scale(values: _Values) -> _Values:
        finite = np.nan_to_num(values.astype(np.float32, copy=False), nan=low, posinf=high, neginf=low)
        scaled: _Values = np.rint((finite - low) * factor).clip(0, 255)
        return scaled

    return _map_bands(image, scale)


def _range(image: Image.Image) -> tuple[float, float]:
    low, high = math.inf, -math.inf
    for band in _bands(image):
        finite = band[np.isfinite(band)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _map_bands(image: Image.Image, scale: Callable[[_Values], _Values]) -> Image.Image:
    """A grey image whose values are mapped to 0–255 a band of rows at a time: the whole of it in floats is too much."""
    mapped = Image.new("L", image.size)
    top = 0
    for band in _bands(image):
        mapped.paste(Image.fromarray(scale(band).astype(np.uint8)), (0, top))
        top += len(band)
    return mapped


def _bands(image: Image.Image) -> Iterator[_Values]:
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
