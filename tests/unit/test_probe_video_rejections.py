"""probe: a video that is cut, forged, hostile or useless is rejected with a code and a sentence, in bounded time and space."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambdas.probe import demuxer
from lambdas.probe.source import SourceFile
from lambdas.probe.video import VideoLimits, describe_video, measure_video
from lambdas.runtime.contract import Disposition, ErrorCode
from lambdas.runtime.step import StepError
from lambdas.runtime.video.formats import VideoFormat, sniff_video
from tests.unit.conftest import Bucket
from tests.unit.probing import VIDEO_LIMITS, Counted, measure, probe, rejected
from tests.unit.videos import Videos


def rejection(body: bytes, **limits: float) -> StepError:
    with pytest.raises(StepError) as raised:
        measure(body, limits=limits)
    assert not raised.value.retryable, raised.value.message
    return raised.value


def in_header(body: bytes, old: bytes, new: bytes) -> bytes:
    """The file with something else in its moov box."""
    header = body.index(b"moov")
    assert old in body[header:]
    return body[:header] + body[header:].replace(old, new)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n", "a playlist (HLS)"),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://169.254.169.254/latest/meta-data/\n", "a playlist (HLS)"),
        (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "a playlist (ffconcat)"),
        (b"file '/etc/passwd'\nfile 'concat:a|b'\n", "text"),
        (b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>', "a playlist (DASH)"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\nm=video 5004 RTP/AVP 96\r\n", "a session description (SDP)"),
        (b"FLV\1\5\0\0\0\x09", "a Flash video"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9", "a Windows Media file"),
        (b"\0\0\1\xba\x44\0\4\0", "an MPEG program stream"),
        (b"OggS\0\2" + bytes(22) + b"\x80theora\3\2", "an Ogg video"),
        (b".RMF\0\0\0\x12", "a RealMedia file"),
        (b"FWS\x09\x11\0\0\0", "a Flash animation"),
        (b"\x1a\x45\xdf\xa3\x84\x42\x82\x81x", "a Matroska file of no kind"),
        (b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "a sound file"),
    ],
)
def test_what_is_no_video_that_is_accepted_is_called_what_it_is(bucket: Bucket, body: bytes, what: str) -> None:
    error = rejected(bucket, body)
    assert error.code is ErrorCode.UNSUPPORTED_FORMAT
    assert error.message.startswith(f"the file is {what}")
    assert error.message.endswith("MP4, MOV, MKV, WEBM, AVI, TS")


def test_playlists_are_not_read_under_a_videos_header(videos: Videos) -> None:
    playlist = b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n" * 50
    for name in ("mp4", "mkv", "webm", "avi"):
        body = videos(name).read_bytes()
        assert rejection(body[:64] + playlist).code in (ErrorCode.CORRUPT, ErrorCode.TRUNCATED)


def test_the_byte_limits_of_pictures_and_videos(bucket: Bucket, videos: Videos) -> None:
    body = videos("mp4").read_bytes()
    assert probe(bucket, body, max_bytes=1000).error is None
    error = rejected(bucket, body, max_bytes=1000, max_video_bytes=2000)
    assert error.code is ErrorCode.TOO_MANY_BYTES
    assert error.message == f"the file has {len(body):,} bytes; the limit is 2,000"
    assert rejected(bucket, body, max_video_bytes=2000).code is ErrorCode.TOO_MANY_BYTES
    picture = rejected(bucket, b"\xff\xd8\xff" + bytes(5000), max_bytes=1000)
    assert picture.message == "the file has 5,003 bytes; the limit is 1,000"


def test_limits_are_inclusive_and_their_sentences_name_both_values(videos: Videos) -> None:
    body = videos("mp4").read_bytes()
    assert measure(body, limits={"max_video_pixels": 19_200, "max_video_seconds": 2, "max_video_frames": 20})["width"] == 160
    pixels = rejection(body, max_video_pixels=19_199)
    assert pixels.code is ErrorCode.TOO_MANY_PIXELS
    assert pixels.message == "the video has 160 × 120 = 19,200 pixels a frame; the limit is 19,199"
    long = rejection(body, max_video_seconds=1.9)
    assert (long.code, long.message) == (ErrorCode.TOO_LONG, "the video takes 2.0 seconds; the limit is 1.9")
    for name in ("mp4", "mkv", "webm_live", "fragmented"):
        many = rejection(videos(name).read_bytes(), max_video_frames=19)
        assert (many.code, many.message) == (ErrorCode.TOO_MANY_FRAMES, "the video has 20 frames; the limit is 19")


@pytest.mark.parametrize("name", ["mp4", "moov_last", "mov", "mkv", "webm", "avi"])
def test_a_file_that_was_cut_is_truncated(videos: Videos, name: str) -> None:
    body = videos(name).read_bytes()
    for length in (40, len(body) // 2, len(body) - 1):
        error = rejection(body[:length])
        assert error.code is ErrorCode.TRUNCATED, length


def test_a_file_without_its_header_is_truncated(videos: Videos) -> None:
    body = videos("moov_last").read_bytes()
    error = rejection(body[: body.index(b"moov") - 4])
    assert (error.code, error.message) == (ErrorCode.TRUNCATED, "the MP4 file has no header: its moov box is missing")


def test_rubbish_behind_a_whole_file_is_ignored(videos: Videos) -> None:
    assert measure(videos("mp4").read_bytes() + b"\xff" * 1000)["format"] == "mp4"


def test_data_in_other_files_is_never_looked_for(videos: Videos) -> None:
    for name in ("mp4", "mov"):
        body = in_header(videos(name).read_bytes(), b"url \0\0\0\1", b"url \0\0\0\0")
        error = rejection(body)
        assert (error.code, "another file (url)" in error.message) == (ErrorCode.UNSAFE, True)
    assert rejection(in_header(videos("mp4").read_bytes(), b"udta", b"rmra")).code is ErrorCode.UNSAFE


def test_a_compressed_header_hides_references(videos: Videos) -> None:
    error = rejection(in_header(videos("mp4").read_bytes(), b"udta", b"cmov"))
    assert error.code is ErrorCode.UNSUPPORTED_FORMAT


def test_encrypted_tracks(videos: Videos) -> None:
    stream = bytearray(videos("ts").read_bytes())
    stream[188 * 10 + 3] |= 0x80
    for body in (in_header(videos("mp4").read_bytes(), b"avc1", b"encv"), bytes(stream)):
        error = rejection(body)
        assert (error.code, error.message) == (ErrorCode.UNSUPPORTED_FORMAT, "the video is encrypted")
    facts: dict[str, Any] = {"seconds": 1.0, "tracks": [{"type": "video", "picture": False, "encrypted": True}]}
    with pytest.raises(StepError, match="encrypted"):
        describe_video(facts, VideoFormat.MKV, VideoLimits(**VIDEO_LIMITS))


def test_files_without_a_video(videos: Videos) -> None:
    error = rejection(videos("sound").read_bytes())
    assert error.code is ErrorCode.UNSUPPORTED_FORMAT
    assert error.message == "the MP4 file is a sound file without a video track"
    for ending in (".mkv", ".webm", ".ts", ".avi"):
        sound = videos.make("-i", str(videos("mkv")), "-vn", *(() if ending == ".webm" else ("-c", "copy")), ending)
        assert rejection(sound.read_bytes()).code is ErrorCode.UNSUPPORTED_FORMAT


def test_a_codec_that_nobody_can_decode(videos: Videos) -> None:
    assert rejection(in_header(videos("mp4").read_bytes(), b"avc1", b"zzzz")).code is ErrorCode.UNSUPPORTED_FORMAT
    assert rejection(videos("avi").read_bytes().replace(b"FMP4", b"ZZZZ")).code is ErrorCode.UNSUPPORTED_FORMAT


def test_no_duration(videos: Videos) -> None:
    body = videos.make("-i", str(videos("webm")), "-an", "-frames:v", "1", "-c", "copy", "-live", "1", ".webm").read_bytes()
    error = rejection(body)
    assert (error.code, error.message) == (ErrorCode.CORRUPT, "the video has no duration")


def test_an_absurd_frame_rate(videos: Videos) -> None:
    fast = videos.make("-f", "lavfi", "-i", "testsrc2=size=32x32:rate=5000:duration=0.02", "-c:v", "ffv1", ".mkv")
    error = rejection(fast.read_bytes())
    assert error.code is ErrorCode.TOO_MANY_FRAMES
    assert error.message == "the video has 5,000 frames a second; the limit is 1,000"


def test_an_absurd_number_of_frames_is_refused_before_anybody_makes_room_for_them(videos: Videos) -> None:
    body = videos("mp4").read_bytes()
    at = body.index(b"stsz") + 12
    error = rejection(body[:at] + (2**31).to_bytes(4, "big") + body[at + 4 :])
    assert error.code is ErrorCode.TOO_MANY_FRAMES
    assert error.message == "the video has 2,147,483,648 frames; the limit is 1,000,000"


def test_an_absurd_number_of_sound_samples_is_refused_alike(videos: Videos) -> None:
    """A hundred million samples of one byte, all in one chunk: a few bytes of file, and 3.7 GB of list in FFmpeg."""
    body = videos("mp4").read_bytes()
    sizes = body.rindex(b"stsz") + 8
    for bytes_each, code in ((0, ErrorCode.CORRUPT), (1, ErrorCode.CORRUPT), (30, ErrorCode.TRUNCATED)):
        samples = 100_000_000 if bytes_each < 2 else 3_000_000
        forged = body[:sizes] + struct.pack(">II", bytes_each, samples) + body[sizes + 8 :]
        assert rejection(forged).code is code


def test_frames_in_one_chunk_take_no_more_memory_than_there_is(videos: Videos) -> None:
    """900,000 frames of one byte are below the limit; the process that lists them is bounded, and slow at worst."""
    body = videos("silent").read_bytes() + bytes(1_000_000)
    for box, at, value in ((b"stsz", 8, struct.pack(">II", 1, 900_000)), (b"stsc", 16, struct.pack(">I", 900_000))):
        start = body.index(box) + at
        body = body[:start] + value + body[start + len(value) :]
    started = time.monotonic()
    assert rejection(body).code.disposition is Disposition.REJECT
    assert time.monotonic() - started < 20


def test_a_video_that_takes_too_long_is_given_up(videos: Videos) -> None:
    body = videos("mp4").read_bytes()
    limits = VideoLimits(**VIDEO_LIMITS)
    with pytest.raises(StepError) as raised:  # no process starts in so short a time
        measure_video(lambda start, length: body[start : start + length], VideoFormat.MP4, len(body), limits, seconds=0.01)
    assert raised.value.code is ErrorCode.TIMEOUT
    assert raised.value.retryable


def test_a_process_that_ends_without_a_word_is_no_fault_of_the_file(videos: Videos, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StepError) as raised:
        measure(videos("mp4").read_bytes())
    assert raised.value.code is ErrorCode.CRASHED


def test_what_reading_raises_is_passed_on_and_the_process_ends(videos: Videos) -> None:
    body = videos("avi").read_bytes()
    gone = StepError(ErrorCode.SOURCE_GONE, "this version of the file no longer exists")

    def vanishing(start: int, length: int) -> bytes:
        if start:
            raise gone
        return body[start : start + length]

    with pytest.raises(StepError) as raised:
        demuxer.demux(SourceFile(vanishing, len(body)), VideoFormat.AVI, len(body), scan=False, seconds=10)
    assert raised.value is gone


def test_the_process_that_opens_a_video_can_open_nothing_else() -> None:
    program = """
import os, socket
from lambdas.probe import demuxing
demuxing.confine()
for attempt in (lambda: open("/etc/hosts"), socket.socket, lambda: os.pipe()):
    try:
        attempt()
    except OSError as error:
        assert error.errno == 24, error
    else:
        raise AssertionError("it was opened")
try:
    bytearray(demuxing.MEMORY_BYTES)
except MemoryError:
    print("confined")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "confined\n", done.stderr


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_that_is_cut_or_overwritten_anywhere_is_anybody_elses_fault(videos: Videos, data: st.DataObject) -> None:
    """No damage makes probe fail, or take long: it measures or it rejects."""
    name = data.draw(st.sampled_from(["mp4", "moov_last", "fragmented", "mov", "mkv", "webm_live", "avi", "ts"]))
    body = bytearray(videos(name).read_bytes())
    header = max(0, body.find(b"moov"))
    if data.draw(st.booleans()):
        del body[data.draw(st.integers(1, len(body))) :]
    ends = st.integers(0, 1500).map(lambda at: at + header) | st.integers(0, 400) | st.integers(0, len(body) - 1)
    for at, value in data.draw(st.lists(st.tuples(ends, st.integers(0, 255)), max_size=20)):
        if at < len(body):
            body[at] = value
    format = sniff_video(bytes(body[:512]))
    if format is None:
        return
    fault = None
    started = time.monotonic()
    try:
        measure_video(Counted(bytes(body)), format, len(body), VideoLimits(**VIDEO_LIMITS), seconds=15)
    except StepError as error:
        fault = error
    assert fault is None or fault.code.disposition is Disposition.REJECT
    assert time.monotonic() - started < 15
