"""The same picture in several sizes, as WebP."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass

from PIL import Image

from lambdas.thumbnail.colour import to_srgb
from lambdas.thumbnail.decode import Picture, Size, fit
from lambdas.thumbnail.placeholder import placeholder

_REDUCING_GAP = 2.0
"""By how much a picture may be averaged down at most before it is resampled: quicker for more than fourfold shrinking."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Rendition:
    """One size: `size` is the longest side that was asked for, `width` × `height` what the picture has."""

    size: int
    width: int
    height: int
    webp: bytes


@dataclass(frozen=True)
class Renditions:
    """All sizes of a picture, the original's upright width and height, and its ThumbHash in base64."""

    width: int
    height: int
    placeholder: str
    renditions: tuple[Rendition, ...]


def render(picture: Picture, sizes: Collection[int], quality: int, method: int) -> Renditions:
    """Shrink to the largest size first, then turn, convert to sRGB, and make each smaller size of the next larger one.

    A picture smaller than a size keeps its own size. `quality` (0–100) and `method` (0–6, slower is smaller) are WebP's.
    """
    # A JPEG that was scaled while it was decoded has lost a little contrast in its details; this filter gives it back.
    softened = picture.image.size != picture.size
    first_filter = Image.Resampling.MKS2013 if softened else Image.Resampling.LANCZOS
    image = _shrink(picture.image, fit(picture.size, max(sizes)), first_filter)
    image = to_srgb(image, picture.icc_profile)
    width, height = picture.size
    if picture.orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[picture.orientation])
    if picture.orientation >= 5:
        width, height = height, width
    renditions: list[Rendition] = []
    for size in sorted(sizes, reverse=True):
        shape = fit((width, height), size)
        if renditions and shape == image.size:
            webp = renditions[-1].webp
        else:
            image = _shrink(image, shape)
            webp = _encode(image, quality, method)
        renditions.append(Rendition(size, *shape, webp))
    return Renditions(width, height, placeholder(image), tuple(renditions))


def _shrink(image: Image.Image, size: Size, resampling: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    return image if image.size == size else image.resize(size, resampling, reducing_gap=_REDUCING_GAP)


def _encode(image: Image.Image, quality: int, method: int) -> bytes:
    buffer = io.BytesIO()
    # Empty, or the profile that the image was opened with would be written.
    image.save(buffer, "WEBP", quality=quality, method=method, icc_profile=b"", exif=b"", xmp=b"")
    return buffer.getvalue()
