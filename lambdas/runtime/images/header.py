"""What a picture's header says: format, size, orientation, EXIF. Nothing is decoded."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, cast

from PIL import ExifTags, Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.images.formats import HEAD_BYTES, ImageFormat, sniff, unsupported
from lambdas.runtime.images.gif import read_gif_size
from lambdas.runtime.images.heif import read_heif_header
from lambdas.runtime.images.stream import SeekableFile, WatchedFile
from lambdas.runtime.images.webp import read_webp_header
from lambdas.runtime.step import StepError

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    struct.error,
    zlib.error,
)
"""What Pillow's readers raise on damaged files."""

_NEW_SUBFILE_TYPE, _IS_PREVIEW, _DNG_VERSION = 254, 1, 50706
_COMPRESSION, _UNCOMPRESSED = 259, 1
_STRIP_OFFSETS, _STRIP_BYTE_COUNTS, _TILE_OFFSETS = 273, 279, 324
_PNG_TAIL_BYTES = 64 * 1024


@dataclass(frozen=True)
class ImageHeader:
    """`width` × `height` pixels as stored; `orientation` is EXIF's, 1–8, and says how to turn them upright.

    `frames` is None where the header doesn't count them. `declared_bytes` is how long the file must be at least.
    `exif` has the tags of the main and the EXIF directory, private ones too: pick from it, never pass it on.
    """

    format: ImageFormat
    width: int
    height: int
    orientation: int = 1
    frames: int | None = None
    declared_bytes: int = 0
    exif: Mapping[int, Any] = field(default_factory=dict)

    @property
    def upright_size(self) -> tuple[int, int]:
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(file: SeekableFile, size_bytes: int, max_pixels: int) -> ImageHeader:
    """Sniff and measure a seekable file of `size_bytes`.

    Raises StepError: EMPTY, UNSUPPORTED_FORMAT, TRUNCATED (the file ends inside its header, or before what the header
    points to), CORRUPT (the header makes no sense), TOO_MANY_PIXELS.
    """
    if size_bytes == 0:
        raise StepError(ErrorCode.EMPTY, "the file has 0 bytes")
    known = sniff(file.read(HEAD_BYTES))
    name = known.value.upper()
    watched = WatchedFile(file)
    watched.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are about damaged metadata
            header = _READERS[known](known, watched, size_bytes)
    except BROKEN as error:
        if watched.ended or isinstance(error, EOFError):
            raise truncated(name, size_bytes) from error
        raise StepError(ErrorCode.CORRUPT, f"the file begins as {name} but its header is damaged") from error
    if header.width < 1 or header.height < 1:
        raise StepError(ErrorCode.CORRUPT, f"the {name} header declares {header.width} × {header.height} pixels")
    require_pixels(header.width, header.height, max_pixels)
    if header.declared_bytes > size_bytes:
        raise truncated(name, size_bytes)
    return header


def require_pixels(width: int, height: int, max_pixels: int) -> None:
    """Raise StepError TOO_MANY_PIXELS if a picture is larger than the limit."""
    if width * height > max_pixels:
        raise StepError(
            ErrorCode.TOO_MANY_PIXELS,
            f"the picture has {width} × {height} = {width * height:,} pixels; the limit is {max_pixels:,}",
        )


def truncated(name: str, size_bytes: int) -> StepError:
    return StepError(ErrorCode.TRUNCATED, f"the {name} file ends too early, after {size_bytes:,} bytes")


def _read_jpeg(known: ImageFormat, file: Any, size_bytes: int) -> ImageHeader:
    image = JpegImageFile(file)
    tags = _parse_exif(image.info.get("exif", b""))
    return ImageHeader(known, *image.size, _orientation(tags), exif=tags)


def _read_png(known: ImageFormat, file: Any, size_bytes: int) -> ImageHeader:
    image = PngImageFile(file)
    tags = _parse_exif(image.info.get("exif") or _exif_after_pixels(file, size_bytes))
    frames = image.n_frames if image.n_frames > 1 else None
    return ImageHeader(known, *image.size, _orientation(tags), frames, exif=tags)


def _exif_after_pixels(file: Any, size_bytes: int) -> bytes:
    """An eXIf chunk may follow the pixels. It is looked for near the end and proven by its CRC."""
    tail_bytes = min(size_bytes, _PNG_TAIL_BYTES)
    file.seek(size_bytes - tail_bytes)
    tail = file.read(tail_bytes)
    at = tail.rfind(b"eXIf")
    if at < 4:
        return b""
    end = at + 4 + int.from_bytes(tail[at - 4 : at], "big")
    proven = zlib.crc32(tail[at:end]) == int.from_bytes(tail[end : end + 4], "big")
    return tail[at + 4 : end] if proven else b""


def _read_bmp(known: ImageFormat, file: Any, size_bytes: int) -> ImageHeader:
    image = BmpImageFile(file)
    (tile,) = image.tile
    end = 0
    if tile.codec_name == "raw":
        _, row_bytes, _ = cast("tuple[str, int, int]", tile.args)
        end = tile.offset + row_bytes * image.height
    return ImageHeader(known, *image.size, declared_bytes=end)


def _read_tiff(known: ImageFormat, file: Any, size_bytes: int) -> ImageHeader:
    try:
        image = TiffImageFile(file)
    except (SyntaxError, KeyError) as error:
        understood = isinstance(error, KeyError) or str(error) == "unknown pixel mode"
        if understood and not file.ended:
            message = "the TIFF's pixel layout or compression isn't supported"
            raise StepError(ErrorCode.UNSUPPORTED_FORMAT, message) from error
        raise
    tags = image.tag_v2
    if _DNG_VERSION in tags or tags.get(_NEW_SUBFILE_TYPE, 0) & _IS_PREVIEW:
        raise unsupported("a camera raw file: its first page is a preview")
    exif = dict(tags)
    with suppress(*BROKEN):  # damaged metadata is no reason to reject a picture
        exif |= image.getexif().get_ifd(ExifTags.IFD.Exif)
    # The image's own size is that after turning.
    width, height = tags[ExifTags.Base.ImageWidth], tags[ExifTags.Base.ImageLength]
    return ImageHeader(known, width, height, _orientation(exif), declared_bytes=_end_of_pixels(tags), exif=exif)


def _end_of_pixels(tags: Mapping[int, Any]) -> int:
    offsets = tags.get(_STRIP_OFFSETS) or tags.get(_TILE_OFFSETS) or ()
    # Some writers get the lengths of compressed strips wrong, and decoders don't mind.
    raw = tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
    lengths = tags.get(_STRIP_BYTE_COUNTS) if raw else None
    return max(map(sum, zip(offsets, lengths or repeat(1), strict=False)), default=0)


def _read_gif(known: ImageFormat, file: Any, size_bytes: int) -> ImageHeader:
    return ImageHeader(known, *read_gif_size(file))


def _read_webp(known: ImageFormat, file: Any, size_bytes: int) -> ImageHeader:
    header = read_webp_header(file)
    tags = _parse_exif(header.exif)
    return ImageHeader(known, header.width, header.height, _orientation(tags), declared_bytes=header.declared_bytes, exif=tags)


def _read_heif(known: ImageFormat, file: Any, size_bytes: int) -> ImageHeader:
    # By the standard the container's own turning counts; EXIF's orientation usually repeats it and is to be ignored.
    header = read_heif_header(file, size_bytes)
    return ImageHeader(known, header.width, header.height, header.orientation, exif=_parse_exif(header.exif))


_READERS = {
    ImageFormat.JPEG: _read_jpeg,
    ImageFormat.PNG: _read_png,
    ImageFormat.WEBP: _read_webp,
    ImageFormat.GIF: _read_gif,
    ImageFormat.BMP: _read_bmp,
    ImageFormat.TIFF: _read_tiff,
    ImageFormat.AVIF: _read_heif,
    ImageFormat.HEIC: _read_heif,
}


def _parse_exif(block: bytes) -> dict[int, Any]:
    """The tags of an EXIF block, as many as can be read: damaged metadata is no reason to reject a picture."""
    exif = Image.Exif()
    tags: dict[int, Any] = {}
    with suppress(*BROKEN):
        exif.load(block)
        tags |= dict(exif)
        tags |= exif.get_ifd(ExifTags.IFD.Exif)
    return tags


def _orientation(tags: Mapping[int, Any]) -> int:
    value = tags.get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
