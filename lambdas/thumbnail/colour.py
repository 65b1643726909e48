"""Colours as every screen understands them: the file's own profile converted to sRGB."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageChops, ImageCms

_SRGB = ImageCms.createProfile("sRGB")
_LEVELS = range(0, 256, 15)
_SAMPLES = Image.new("RGB", (len(_LEVELS) ** 2, len(_LEVELS)))
_SAMPLES.putdata([(red, green, blue) for red in _LEVELS for green in _LEVELS for blue in _LEVELS])


def to_srgb(image: Image.Image, icc_profile: bytes) -> Image.Image:
    """An L, LA, RGB, RGBA, CMYK or LAB image as RGB, or RGBA if it has an alpha channel, which is left as it is.

    Without a profile, or with one that is broken or is for another kind of pixels, grey and RGB are taken for sRGB
    and CMYK is converted by arithmetic.
    """
    alpha = image.getchannel("A") if image.mode in ("LA", "RGBA") else None
    colours = image.convert(image.mode.removesuffix("A")) if alpha else image
    transform = _transform(icc_profile, colours.mode)
    if transform:
        converted = ImageCms.applyTransform(colours, transform)
        assert converted is not None
    else:
        converted = colours if colours.mode == "RGB" else colours.convert("RGB")
    if alpha:
        converted.putalpha(alpha)
    return converted


@lru_cache(maxsize=32)
def _transform(icc_profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    if not icc_profile and mode != "LAB":
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile)) if icc_profile else ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(
            source,
            _SRGB,
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError):
        return _transform(b"", mode) if icc_profile else None
    return None if mode == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Most photographs name sRGB itself as their profile: a seventh of the work of a thumbnail, for nothing."""
    converted = ImageCms.applyTransform(_SAMPLES, transform)
    assert converted is not None
    return max(ImageChops.difference(_SAMPLES, converted).tobytes()) <= 1
