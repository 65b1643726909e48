"""A decoded picture as a JPEG that any viewer shows as a player shows the video: upright, square pixels, sRGB, no metadata."""

from __future__ import annotations

import io

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from PIL import Image

from lambdas.frames.tone import HLG, PQ, hdr_to_srgb, wide_to_srgb

Size = tuple[int, int]

_SCALING = (
    Interpolation.LANCZOS | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP | Interpolation.ACCURATE_RND
    | Interpolation.BITEXACT
)  # fmt: skip
_MATRICES = {
    1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020, 10: Colorspace.BT2020,
}  # fmt: skip
"""By matrix coefficients of ITU-T H.273."""
_BT2020_PRIMARIES = 9
_FULL_RANGE_FORMATS = "yuvj"
_UPRIGHT = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
"""By how far it is to be turned clockwise; Pillow counts the other way."""


def square_size(width: int, height: int, sample_aspect_ratio: tuple[int, int], max_side: int) -> Size:
    """Of a picture, as it is stored, in square pixels: none is lost, but no side gets longer than `max_side`."""
    across, down = sample_aspect_ratio
    wide = width * across / down if across > down else float(width)
    high = height * down / across if down > across else float(height)
    scale = min(1.0, max_side / max(wide, high))
    return max(1, round(wide * scale)), max(1, round(high * scale))


def render(frame: VideoFrame, size: Size, rotation: int) -> Image.Image:
    """The picture in RGB: scaled to `size`, then turned clockwise by `rotation` degrees. Of interlaced ones, a field."""
    image = _field(frame, size) if frame.interlaced_frame else Image.fromarray(_rgb(frame, size))
    return image.transpose(_UPRIGHT[rotation]) if rotation in _UPRIGHT else image


def to_jpeg(image: Image.Image, quality: int) -> bytes:
    """Without any metadata; the same picture always gives the same bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _field(frame: VideoFrame, size: Size) -> Image.Image:
    lines = _rgb(frame, (frame.width, frame.height))[::2]
    return Image.fromarray(np.ascontiguousarray(lines)).resize(size, Image.Resampling.LANCZOS)


def _rgb(frame: VideoFrame, size: Size) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    hdr = frame.color_trc in (PQ, HLG)
    wide = hdr or frame.color_primaries == _BT2020_PRIMARIES
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith(_FULL_RANGE_FORMATS)
    converted = frame.reformat(
        *size,
        "rgb48le" if wide else "rgb24",
        src_colorspace=None if frame.format.is_rgb else _matrix(frame),
        interpolation=_SCALING,
        src_color_range=None if frame.format.is_rgb else ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    ).to_ndarray()
    if not wide:
        return np.asarray(converted, np.uint8)
    encoded = converted.astype(np.float32) / 65535
    shown = hdr_to_srgb(encoded, frame.color_trc) if hdr else wide_to_srgb(encoded)
    return np.rint(shown * 255).astype(np.uint8)


def _matrix(frame: VideoFrame) -> Colorspace:
    """What the video says; of one that doesn't, what players take it for."""
    if frame.colorspace in _MATRICES:
        return _MATRICES[frame.colorspace]
    return Colorspace.ITU709 if frame.width >= 1280 or frame.height > 576 else Colorspace.ITU601
