"""probe: whatever video is uploaded is named and measured, from as few of its bytes as tell it."""

from __future__ import annotations

import pytest

from lambdas.runtime.video.formats import VideoFormat, sniff_video
from tests.unit.conftest import Bucket
from tests.unit.probing import Counted, measure, measured
from tests.unit.videos import HEIGHT, WIDTH, Videos

AAC, OPUS, MP3 = (
    {"codec": codec, "channels": 1, "sample_rate_hz": 48000, "language": None} for codec in ("aac", "opus", "mp3")
)
CONTAINERS = {
    "mp4": ("mp4", "video/mp4", "h264", [AAC]),
    "moov_last": ("mp4", "video/mp4", "h264", [AAC]),
    "3gp": ("mp4", "video/mp4", "h264", []),
    "mov": ("mov", "video/quicktime", "h264", [AAC]),
    "mkv": ("mkv", "video/x-matroska", "h264", [AAC]),
    "webm": ("webm", "video/webm", "vp9", [OPUS]),
    "webm_live": ("webm", "video/webm", "vp9", [OPUS]),
    "ts": ("ts", "video/mp2t", "h264", [AAC]),
    "m2ts": ("ts", "video/mp2t", "h264", [AAC]),
}


def test_every_container_is_named_and_measured(videos: Videos) -> None:
    for name, (format, content_type, codec, audio) in CONTAINERS.items():
        assert measure(videos(name).read_bytes()) == {
            "kind": "video",
            "format": format,
            "content_type": content_type,
            "width": WIDTH,
            "height": HEIGHT,
            "orientation": 1,
            "upright_width": WIDTH,
            "upright_height": HEIGHT,
            "exif": {},
            "video": {
                "duration_ms": 2000,
                "frame_rate": 10.0,
                "variable_frame_rate": False,
                "codec": codec,
                "bit_depth": 8,
                "hdr": False,
                "rotation": 0,
                "sample_aspect_ratio": [1, 1],
                "video_tracks": 1,
                "audio": audio,
            },
        }, name


def test_an_avi_and_fragments_last_as_long_as_their_frames_say(videos: Videos) -> None:
    """ffmpeg leaves the second of 21 frames out of the AVI; where sound begins earlier, an MP4's first frame is stretched."""
    avi, fragmented = (measure(videos(name).read_bytes())["video"] for name in ("avi", "fragmented"))
    assert (avi["duration_ms"], avi["codec"], avi["audio"]) == (2100, "mpeg4", [MP3])
    assert (fragmented["duration_ms"], fragmented["variable_frame_rate"]) == (2021, False)


def test_a_video_through_the_handler(bucket: Bucket, videos: Videos) -> None:
    result = measured(bucket, videos("mkv").read_bytes(), name="holiday.jpg")
    assert (result["kind"], result["format"], result["video"]["duration_ms"]) == ("video", "mkv", 2000)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_video_that_lies_on_its_side_is_measured_upright(videos: Videos, degrees: int) -> None:
    result = measure(videos(f"rotated_{degrees}").read_bytes())
    assert result["video"]["rotation"] == degrees
    assert (result["width"], result["height"]) == (WIDTH, HEIGHT)
    upright = (WIDTH, HEIGHT) if degrees == 180 else (HEIGHT, WIDTH)
    assert (result["upright_width"], result["upright_height"]) == upright


def test_pixels_that_are_not_square(videos: Videos) -> None:
    wide = measure(videos("anamorphic").read_bytes())
    assert wide["video"]["sample_aspect_ratio"] == [4, 3]
    assert (wide["width"], wide["upright_width"], wide["upright_height"]) == (160, 213, 120)
    tall = measure(videos.make("-i", str(videos("silent")), "-vf", "setsar=3/4", "-c:v", "libx264", ".mp4").read_bytes())
    assert (tall["upright_width"], tall["upright_height"]) == (160, 160)


def test_what_else_there_is_to_know(videos: Videos) -> None:
    odd, vfr, hdr, hlg, two, cover = (
        measure(videos(name).read_bytes()) for name in ("odd", "vfr", "hdr", "hlg", "two_audio", "cover")
    )
    assert (odd["width"], odd["height"]) == (161, 121)
    assert (vfr["video"]["variable_frame_rate"], vfr["video"]["frame_rate"]) == (True, 6.842)
    assert vfr["video"]["duration_ms"] == 1900
    for each in (hdr, hlg):
        assert (each["video"]["hdr"], each["video"]["bit_depth"], each["video"]["codec"]) == (True, 10, "hevc")
    assert [(track["language"], track["channels"]) for track in two["video"]["audio"]] == [("eng", 2), ("deu", 1)]
    assert cover["video"]["video_tracks"] == 1


def test_a_track_of_sound_that_goes_on_does_not_lengthen_the_video(videos: Videos) -> None:
    tone = ("-f", "lavfi", "-i", "sine=duration=5")
    for ending in (".mp4", ".mkv", ".ts"):
        longer = videos.make("-i", str(videos("silent")), *tone, "-c:v", "copy", "-c:a", "aac", ending)
        assert measure(longer.read_bytes())["video"]["duration_ms"] == 2000


def test_pictures_that_begin_after_the_sound_last_no_longer_for_it(videos: Videos) -> None:
    pictures, sound = ("-itsoffset", "0.75", "-i", str(videos("silent"))), ("-i", str(videos("mp4")))
    late = videos.make(*pictures, *sound, "-map", "0:v", "-map", "1:a", "-c", "copy", ".mkv")
    assert measure(late.read_bytes())["video"]["duration_ms"] == 2000


def test_only_the_header_of_a_large_video_is_read(videos: Videos) -> None:
    padding = (30_000_000).to_bytes(4, "big") + b"free" + bytes(30_000_000 - 8)
    first, last = videos("mp4").read_bytes() + padding, videos("moov_last").read_bytes()
    header = last.index(b"moov") - 4
    last = last[:header] + padding + last[header:]
    for body in (first, last):
        fetch = Counted(body)
        assert measure(body, fetch)["video"]["duration_ms"] == 2000
        assert fetch.bytes < 300_000


def test_formats_have_a_content_type_and_a_demuxer() -> None:
    assert {format.demuxer for format in VideoFormat} == {"mov", "matroska", "avi", "mpegts"}
    assert all(format.content_type.startswith("video/") for format in VideoFormat)


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis", b"M4A ", b"crx "])
def test_pictures_and_sounds_in_the_same_boxes_are_no_videos(brand: bytes) -> None:
    assert sniff_video(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mp42isom") is None
