"""What the structure of a video file tells before FFmpeg opens it: whether it is whole, and whether it is self-contained.

FFmpeg opens what it can: of a file that was cut it reads the rest, and a header that declares a billion samples it believes.
Only structure is read here, box by box; what is between is skipped.

ISO/IEC 14496-12 and Apple's QuickTime File Format (boxes), RFC 8794 (EBML), ISO/IEC 13818-1 (transport streams).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.images.stream import SeekableFile
from lambdas.runtime.step import StepError
from lambdas.runtime.video.formats import VideoFormat

_MAX_BOXES = 20_000
"""A file's header has some hundreds."""
_MAX_SAMPLES = 4_000_000
"""Of a track that isn't video: four hours of AAC are 700,000. FFmpeg makes a list of them, 37 bytes each."""


@dataclass
class Structure:
    """`fragmented`: an MP4 whose header counts no frames, since they come in fragments of their own.

    `fragments_seconds` is the duration that such a header promises, None if it doesn't.
    """

    fragmented: bool = False
    fragments_seconds: float | None = None


def check_structure(file: SeekableFile, format: VideoFormat, size_bytes: int, max_frames: int) -> Structure:
    """Walk over a file of `size_bytes`.

    Raises StepError: TRUNCATED (it declares more than there is), CORRUPT, UNSAFE (its data is in other files),
    UNSUPPORTED_FORMAT (encrypted, or a compressed header), TOO_MANY_FRAMES.
    """
    if format in (VideoFormat.MP4, VideoFormat.MOV):
        return _Boxes(file, format, size_bytes, max_frames).walk()
    if format is VideoFormat.AVI:
        _check_riff(file, size_bytes)
    elif format is VideoFormat.TS:
        _check_transport_stream(file)
    else:
        _check_segment(file, format, size_bytes)
    return Structure()


def truncated(format: VideoFormat, size_bytes: int) -> StepError:
    return StepError(ErrorCode.TRUNCATED, f"the {format.value.upper()} file ends too early, after {size_bytes:,} bytes")


def encrypted() -> StepError:
    return StepError(ErrorCode.UNSUPPORTED_FORMAT, "the video is encrypted")


_HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"dinf", b"stbl", b"mvex"}
_TOP_LEVEL = {
    b"ftyp",
    b"moov",
    b"mdat",
    b"moof",
    b"free",
    b"skip",
    b"wide",
    b"sidx",
    b"styp",
    b"mfra",
    b"meta",
    b"uuid",
    b"udta",
}
_ENCRYPTED_ENTRIES = {b"encv", b"enca", b"encs", b"enct", b"drmi", b"drms"}
_SELF_CONTAINED = 1


@dataclass
class _Track:
    """What a track's boxes say, until all of them are known. `sample_bytes` is 0 where each sample has a size of its own."""

    handler: bytes = b""
    samples: int = 0
    sample_bytes: int = 0
    is_uncompressed: bool = False


@dataclass
class _Boxes:
    """One walk over the boxes of an MP4 or QuickTime file."""

    file: SeekableFile
    format: VideoFormat
    size_bytes: int
    max_frames: int
    found: Structure = field(default_factory=Structure)
    boxes: int = 0
    timescale: int = 0
    track: _Track = field(default_factory=_Track)

    def walk(self) -> Structure:
        has_header = False
        for kind, start, end in self._children(0, self.size_bytes):
            if end > self.size_bytes:
                if kind not in _TOP_LEVEL and has_header:
                    break  # rubbish behind a whole file
                raise truncated(self.format, self.size_bytes)
            if kind == b"moov":
                has_header = True
                self._walk_holder(start, end)
            elif kind == b"moof" and has_header:
                break  # of a fragmented file every part can be played without the next
        if not has_header:
            raise StepError(ErrorCode.TRUNCATED, f"the {self.format.value.upper()} file has no header: its moov box is missing")
        return self.found

    def _children(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """Kind, and where the content begins and ends, which may be beyond the end."""
        while start + 8 <= end:
            self.boxes += 1
            if self.boxes > _MAX_BOXES:
                raise self._damaged(f"it has more than {_MAX_BOXES:,} boxes")
            self.file.seek(start)
            head = self.file.read(16)
            if len(head) < 8:
                raise truncated(self.format, self.size_bytes)
            size, kind, header = int.from_bytes(head[:4], "big"), head[4:8], 8
            if size == 1:
                size, header = int.from_bytes(head[8:16], "big"), 16
            elif size == 0:
                size = end - start
            if size < header:
                raise self._damaged("a box is smaller than its own header")
            yield kind, start + header, start + size
            start += size

    def _walk_holder(self, start: int, end: int) -> None:
        for kind, begin, stop in self._children(start, end):
            if stop > end:
                raise self._damaged("a box reaches beyond the one that holds it")
            if kind == b"trak":
                self.track = _Track()
            if kind in _HOLDERS:
                self.found.fragmented = self.found.fragmented or kind == b"mvex"
                self._walk_holder(begin, stop)
                if kind == b"trak":
                    self._check_track()
            elif kind in _READERS:
                _READERS[kind](self, begin, stop)

    def _read_movie_header(self, start: int, end: int) -> None:
        body = self._read(start, 24)
        self.timescale = int.from_bytes(body[20:24] if body[:1] == b"\1" else body[12:16], "big")

    def _read_fragments_duration(self, start: int, end: int) -> None:
        body = self._read(start, 12)
        duration = int.from_bytes(body[4:12] if body[:1] == b"\1" else body[4:8], "big")
        if duration and self.timescale:
            self.found.fragments_seconds = duration / self.timescale

    def _read_handler(self, start: int, end: int) -> None:
        self.track.handler = self.track.handler or self._read(start, 12)[8:12]

    def _read_references(self, start: int, end: int) -> None:
        for kind, begin, _ in self._children(start + 8, end):
            flags = int.from_bytes(self._read(begin, 4)[1:], "big")
            if not flags & _SELF_CONTAINED:
                name = kind.decode("ascii", "replace").strip()
                raise StepError(ErrorCode.UNSAFE, f"the video's data is in another file ({name}), which is never opened")

    def _read_entries(self, start: int, end: int) -> None:
        for kind, _, _ in self._children(start + 8, end):
            if kind in _ENCRYPTED_ENTRIES:
                raise encrypted()

    def _read_sizes(self, start: int, end: int) -> None:
        body = self._read(start + 4, 8)
        self.track.sample_bytes, self.track.samples = int.from_bytes(body[:4], "big"), int.from_bytes(body[4:], "big")

    def _read_compact_sizes(self, start: int, end: int) -> None:
        self.track.samples = int.from_bytes(self._read(start + 8, 4), "big")

    def _read_times(self, start: int, end: int) -> None:
        body = self._read(start + 4, 12)
        self.track.is_uncompressed = int.from_bytes(body[:4], "big") == int.from_bytes(body[8:], "big") == 1

    def _check_track(self) -> None:
        track = self.track
        if track.handler == b"vide":
            if track.samples > self.max_frames:
                message = f"the video has {track.samples:,} frames; the limit is {self.max_frames:,}"
                raise StepError(ErrorCode.TOO_MANY_FRAMES, message)
        elif track.samples > _MAX_SAMPLES and not (track.handler == b"soun" and track.is_uncompressed):
            raise self._damaged(f"a track has {track.samples:,} samples")
        if track.samples * track.sample_bytes > self.size_bytes and not track.is_uncompressed:
            raise truncated(self.format, self.size_bytes)

    def _refuse_compressed(self, start: int, end: int) -> None:
        raise StepError(ErrorCode.UNSUPPORTED_FORMAT, "the video's header is compressed")

    def _refuse_reference_movie(self, start: int, end: int) -> None:
        raise StepError(ErrorCode.UNSAFE, "the file only refers to videos in other places, which are never opened")

    def _read(self, start: int, length: int) -> bytes:
        self.file.seek(start)
        return self.file.read(length)

    def _damaged(self, how: str) -> StepError:
        return StepError(ErrorCode.CORRUPT, f"the {self.format.value.upper()} file's header is damaged: {how}")


_READERS = {
    b"mvhd": _Boxes._read_movie_header,
    b"mehd": _Boxes._read_fragments_duration,
    b"hdlr": _Boxes._read_handler,
    b"dref": _Boxes._read_references,
    b"stsd": _Boxes._read_entries,
    b"stsz": _Boxes._read_sizes,
    b"stz2": _Boxes._read_compact_sizes,
    b"stts": _Boxes._read_times,
    b"cmov": _Boxes._refuse_compressed,
    b"rmra": _Boxes._refuse_reference_movie,
}


def _check_segment(file: SeekableFile, format: VideoFormat, size_bytes: int) -> None:
    """A Matroska file is an EBML header and one segment, whose size a live recording leaves unknown."""
    file.seek(0)
    head = file.read(4096)
    length, at, _ = _ebml_size(head, 4)
    at += length
    if head[at : at + 4] != b"\x18\x53\x80\x67":
        if at + 12 > size_bytes:
            raise truncated(format, size_bytes)
        raise StepError(ErrorCode.CORRUPT, f"the {format.value.upper()} file has no segment after its header")
    length, at, unknown = _ebml_size(head, at + 4)
    if not unknown and at + length > size_bytes:
        raise truncated(format, size_bytes)


def _ebml_size(data: bytes, at: int) -> tuple[int, int, bool]:
    """A size, where it ends, and whether it says that it isn't known: all bits are ones."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if length > 8:
        return 0, at + 1, False
    bits = 7 * length
    value = int.from_bytes(data[at : at + length], "big") & ((1 << bits) - 1)
    return value, at + length, value == (1 << bits) - 1


def _check_riff(file: SeekableFile, size_bytes: int) -> None:
    """An AVI file is a RIFF chunk, and more of them from each gigabyte on."""
    position = chunks = 0
    while position + 8 <= size_bytes and chunks < 1000:
        file.seek(position)
        head = file.read(8)
        size = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or size == 0:  # a recorder that never came to write the size leaves a zero
            return
        if position + 8 + size > size_bytes:
            raise truncated(VideoFormat.AVI, size_bytes)
        position += 8 + size + size % 2
        chunks += 1


def _check_transport_stream(file: SeekableFile) -> None:
    file.seek(0)
    head = file.read(64 * 1024)
    packet, begin = (188, 0) if head[0] == head[188] == head[376] == 0x47 else (192, 4)
    if any(head[at] == 0x47 and head[at + 3] & 0xC0 for at in range(begin, len(head) - 3, packet)):
        raise encrypted()
