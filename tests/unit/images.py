"""Pictures for tests, made on the spot: every format, every oddity, and files that only look like pictures."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageChops
from PIL.TiffImagePlugin import IFDRational
from pillow_heif import register_heif_opener

register_heif_opener(thumbnails=False)

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 180, 60), (40, 60, 210), (245, 245, 245)
CORNERS = (RED, GREEN, BLUE, WHITE)
"""What `corners` has at its upper left, upper right, lower left and lower right."""

_STORED_FOR = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def corners(width: int = 120, height: int = 80) -> Image.Image:
    """A picture whose quarters differ, so that every turn and every mirroring shows."""
    image = Image.new("RGB", (width, height))
    middle, half = width // 2, height // 2
    for colour, box in zip(
        CORNERS,
        [(0, 0, middle, half), (middle, 0, width, half), (0, half, middle, height), (middle, half, width, height)],
        strict=True,
    ):
        image.paste(colour, box)
    return image


def photo(width: int = 640, height: int = 480, seed: int = 0) -> Image.Image:
    """Something with the spectrum of a photograph: noise at every scale, coarser is stronger."""
    generator = np.random.default_rng(seed)
    layers = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 8):
        cells = generator.normal(size=(2**octave, 2**octave, 3)).astype(np.float32) / 1.7**octave
        for channel in range(3):
            layer = Image.fromarray(cells[..., channel]).resize((width, height), Image.Resampling.BICUBIC)
            layers[..., channel] += np.asarray(layer)
    layers = (layers - layers.min()) / (layers.max() - layers.min())
    return Image.fromarray((layers * 255).astype(np.uint8))


def encode(image: Image.Image, format: str, **options: Any) -> bytes:
    """`format` is Pillow's name, or "heic"."""
    if isinstance(options.get("exif"), Image.Exif):
        options["exif"] = options["exif"].tobytes()  # of an object, the HEIC encoder ignores the orientation
    buffer = io.BytesIO()
    image.save(buffer, "HEIF" if format.lower() == "heic" else format.upper(), **options)
    return buffer.getvalue()


def turned(upright: Image.Image, orientation: int, format: str, **options: Any) -> bytes:
    """A file that stores `upright` turned, and says so the way its format does."""
    transposition = _STORED_FOR[orientation]
    stored = upright.transpose(transposition) if transposition is not None else upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encode(stored, format, exif=exif, **options)


def private_exif(orientation: int = 1) -> Image.Exif:
    """What a camera writes: some of it public, most of it nobody's business."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Fujifilm"
    exif[ExifTags.Base.Model] = "X-T5"
    exif[ExifTags.Base.Artist] = "Ada Secret"
    exif[ExifTags.Base.Copyright] = "Ada Secret"
    exif[ExifTags.Base.ImageDescription] = "at home with Secret"
    exif[ExifTags.Base.ExifOffset] = {
        ExifTags.Base.DateTimeOriginal: "2024:07:14 18:30:05",
        ExifTags.Base.ExposureTime: IFDRational(1, 250),
        ExifTags.Base.FNumber: IFDRational(28, 10),
        ExifTags.Base.ISOSpeedRatings: 400,
        ExifTags.Base.FocalLength: IFDRational(23, 1),
        ExifTags.Base.BodySerialNumber: "Secret-4711",
        ExifTags.Base.CameraOwnerName: "Ada Secret",
        ExifTags.Base.UserComment: b"ASCII\0\0\0Secret",
    }
    exif[ExifTags.Base.GPSInfo] = {1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)}
    return exif


def segments(jpeg: bytes, without: int | None = None) -> bytes:
    """A JPEG with every segment of one marker taken out, e.g. 0xEE for Adobe's APP14."""
    kept, position = jpeg[:2], 2
    while jpeg[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(jpeg[position + 2 : position + 4], "big")
        if jpeg[position + 1] != without:
            kept += jpeg[position:end]
        position = end
    return kept + jpeg[position:]


def plain_cmyk_jpeg(cmyk: Image.Image) -> bytes:
    """A CMYK JPEG that isn't Adobe's: no marker, and 255 is full ink."""
    return segments(encode(ImageChops.invert(cmyk), "jpeg", quality=95), without=0xEE)


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with_exif_last(image: Image.Image, orientation: int) -> bytes:
    """A PNG whose eXIf chunk follows the pixels, as tools write it that add metadata to a finished file."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    png = encode(image, "png")
    end = png.rindex(b"IEND") - 4
    return png[:end] + png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + png[end:]


def png_bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A few hundred bytes that declare gigabytes."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + png_chunk(b"IEND", b"")


def bombs() -> dict[str, bytes]:
    """A small file of every format that declares a picture of 2,500,000,000 pixels, or the most that it can."""
    small = {name: encode(corners(), name) for name in ("jpeg", "gif", "bmp", "tiff", "avif", "heic")}
    frame = small["jpeg"].index(b"\xff\xc0")
    directory = struct.unpack("<I", small["tiff"][4:8])[0] + 2
    ispe = {name: small[name].index(b"ispe") for name in ("avif", "heic")}
    return {
        "jpeg": _replace(small["jpeg"], frame + 5, struct.pack(">HH", 50_000, 50_000)),
        "png": png_bomb(),
        "webp": b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I4x", 10) + b"\xff\xff\xff" * 2,
        "gif": _replace(small["gif"], 6, struct.pack("<HH", 50_000, 50_000)),
        "bmp": _replace(small["bmp"], 18, struct.pack("<ii", 50_000, 50_000)),
        "tiff": _replace(small["tiff"], directory, struct.pack("<HHIIHHII", 256, 4, 1, 50_000, 257, 4, 1, 50_000)),
        "avif": _replace(small["avif"], ispe["avif"] + 8, struct.pack(">II", 50_000, 50_000)),
        "heic": _replace(small["heic"], ispe["heic"] + 8, struct.pack(">II", 50_000, 50_000)),
    }


def _replace(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


# ICC profiles, by hand (ICC.1:2001-04). Pillow makes no other than sRGB.

P3_PRIMARIES = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
"""XYZ of Display P3's red, green and blue, adapted to D50. With a gamma of 2.2."""


def p3_profile() -> bytes:
    tags = {b"wtpt": _xyz((0.9642, 1.0, 0.8249))}
    for name, primary in zip((b"rXYZ", b"gXYZ", b"bXYZ"), P3_PRIMARIES, strict=True):
        tags[name] = _xyz(primary)
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        tags[name] = b"curv" + struct.pack(">4xIH", 1, round(2.2 * 256)) + b"\0\0"
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + struct.pack(">4xIH", 1, round(gamma * 256)) + b"\0\0"
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz((0.9642, 1.0, 0.8249)), b"kTRC": curve})


def cmyk_profile_of_green_cyan() -> bytes:
    """A press whose cyan ink is green: whoever ignores the profile sees cyan."""
    lab = []
    for ink in range(16):  # the last channel varies fastest
        cyan, black = ink & 8, ink & 1
        lab.append((10, 128, 128) if black else (140, 60, 190) if cyan else (255, 128, 128))
    table = b"mft1" + struct.pack(">4x4B", 4, 3, 2, 0)
    table += struct.pack(">9i", *(65536 * one for one in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table += bytes(range(256)) * 4 + b"".join(bytes(entry) for entry in lab) + bytes(range(256)) * 3
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz((0.9642, 1.0, 0.8249)), b"A2B0": table})


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in value))


def _profile(kind: bytes, colours: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"test\0"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + b"\0" * 79, **tags}
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, body in tags.items():
        table += tag + struct.pack(">II", start + len(data), len(body))
        data += body + b"\0" * (-len(body) % 4)
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"test", 0x02400000, kind, colours, connection)
    header += struct.pack(">6H4s4s", 2024, 1, 1, 0, 0, 0, b"acsp", b"\0" * 4) + b"\0" * 24
    header += struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + table + data
