"""Which image formats are accepted, and how a file's first bytes tell them apart. A file's name says nothing."""

from __future__ import annotations

import codecs
import re
from enum import StrEnum

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.video.formats import SOUND_BRANDS, VideoFormat

HEAD_BYTES = 512
"""How much of a file's beginning `sniff` wants."""


class ImageFormat(StrEnum):
    """An accepted format."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    GIF = "gif"
    BMP = "bmp"
    TIFF = "tiff"
    AVIF = "avif"
    HEIC = "heic"

    @property
    def content_type(self) -> str:
        return f"image/{self.value}"

    @property
    def pillow_name(self) -> str:
        """What Pillow calls the plugin that reads it."""
        return "HEIF" if self is ImageFormat.HEIC else self.value.upper()


def sniff(head: bytes) -> ImageFormat:
    """The format of a file that begins with `head`.

    Raises StepError UNSUPPORTED_FORMAT, naming what the file seems to be, if it is none of the accepted ones. Videos are
    sniffed in lambdas.runtime.video.formats.
    """
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    for magic, known in _ACCEPTED:
        if magic.match(head):
            return known
    raise unsupported(_name_unsupported(head))


def unsupported(what: str) -> StepError:
    """The error that says what a file is instead of an accepted format."""
    accepted = ", ".join(known.value.upper() for known in (*ImageFormat, *VideoFormat))
    return StepError(ErrorCode.UNSUPPORTED_FORMAT, f"the file is {what}; accepted are {accepted}")


_ACCEPTED = [
    (re.compile(rb"\xff\xd8\xff", re.DOTALL), ImageFormat.JPEG),
    (re.compile(rb"\x89PNG\r\n\x1a\n", re.DOTALL), ImageFormat.PNG),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), ImageFormat.WEBP),
    (re.compile(rb"GIF8[79]a", re.DOTALL), ImageFormat.GIF),
    # "BM" begins many texts: the size of the header that follows must be one that exists.
    (re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), ImageFormat.BMP),
    # Canon's CR2 is a TIFF whose first page is a small preview of the raw picture.
    (re.compile(rb"(?!.{8}CR)(II[*+]\0|MM\0[*+])", re.DOTALL), ImageFormat.TIFF),
]

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}


def _sniff_brands(head: bytes) -> ImageFormat:
    """ISO base media files say what they are in `ftyp`: one major brand and those they are compatible with."""
    size = int.from_bytes(head[:4], "big")
    major = head[8:12]
    compatible = {head[at : at + 4] for at in range(16, min(size, len(head)) - 3, 4)}
    # A video may carry a still picture's brand as well, so the major brand decides first.
    for brands in ({major}, {major, *compatible} if major in _HEIC_BRANDS else set()):
        if brands & _AVIF_BRANDS:
            return ImageFormat.AVIF
        if brands & (_HEIC_BRANDS - {b"mif1", b"msf1"}):
            return ImageFormat.HEIC
    if major in _HEIC_BRANDS:
        return ImageFormat.HEIC
    if major == b"crx ":
        raise unsupported("a camera raw file (CR3)")
    raise unsupported("a sound file" if major in SOUND_BRANDS else "a video, where a picture is wanted")


_MARKUP = [
    (rb"%PDF", "a PDF document"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "a PostScript document"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg", "an SVG drawing"),
    (rb"(\xef\xbb\xbf)?\s*<(!doctype html|html)", "an HTML page"),
    (rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<MPD\b", "a playlist (DASH)"),
    (rb"(\xef\xbb\xbf)?\s*#EXTM3U", "a playlist (HLS)"),
    (rb"(\xef\xbb\xbf)?\s*ffconcat version", "a playlist (ffconcat)"),
    (rb"(\xef\xbb\xbf)?v=0\r?\no=", "a session description (SDP)"),
    (rb"(\xef\xbb\xbf)?\s*<\?xml", "an XML document"),
]
_BINARY = [
    (rb"PK\x03\x04", "a ZIP archive or an office document"),
    (rb"\xd0\xcf\x11\xe0", "an office document"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "a compressed archive"),
    (rb"\x1a\x45\xdf\xa3", "a Matroska file of no kind that is known here"),
    (rb"OggS.{24}.*\x80theora", "an Ogg video"),
    (rb"RIFF....WAVE|ID3|fLaC|OggS|\xff[\xf2\xf3\xfa\xfb]", "a sound file"),
    (rb"\0\0\x01[\xb3\xba]", "an MPEG program stream"),
    (rb"FLV\x01", "a Flash video"),
    (rb"[FCZ]WS[\x01-\x40]", "a Flash animation"),
    (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
    (rb"\.RMF\0|\.ra\xfd", "a RealMedia file"),
    (rb"8BPS", "a Photoshop document"),
    (rb"\0\0[\x01\x02]\0", "an icon or a cursor"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL image"),
    (rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  ", "a JPEG 2000 image"),
    (rb"\x76\x2f\x31\x01", "an OpenEXR image"),
    (rb"II[*+]\0.{4}CR|FUJIFILMCCD-RAW|IIU\0|IIR[OS]|MMOR", "a camera raw file"),
    (rb"\x7fELF|MZ|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe", "a program"),
]


def _name_unsupported(head: bytes) -> str:
    for pattern, name in _MARKUP:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            return name
    if _is_text(head):
        return "text"
    for pattern, name in _BINARY:
        if re.match(pattern, head, re.DOTALL):
            return name
    return "of no format that is known here"


def _is_text(head: bytes) -> bool:
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)  # the head may end inside a character
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text)
