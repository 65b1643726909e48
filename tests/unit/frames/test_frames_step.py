"""The frames step as dispatch sees it: an upload in, pictures and a result out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageChops

from lambdas.runtime.contract import ErrorCode, ItemOutcome
from tests.unit.conftest import Bucket
from tests.unit.conftest import error as fault
from tests.unit.frames.counting import counting
from tests.unit.frames.extracting import outcome_of, picture, result_of, times_of, upload
from tests.unit.videos import Videos

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10")


def code_of(outcome: ItemOutcome) -> ErrorCode | None:
    return outcome.error.code if outcome.error else None


def scenes(videos: Videos, *sources: str, ending: str = ".mp4") -> Path:
    """A second of each of ffmpeg's test pictures, one after the other."""
    inputs = [part for each in sources for part in ("-f", "lavfi", "-t", "1", "-i", f"{each}size=160x120:rate=10")]
    return videos.make(*inputs, "-filter_complex", f"concat=n={len(sources)},format=yuv420p", *H264, ending)


BARS, COUNTER, BLACK = "smptebars=", "testsrc2=", "color=black:"
RAINBOW = "rgbtestsrc="


def test_each_shot_gives_a_frame_and_one_is_the_poster(bucket: Bucket, videos: Videos) -> None:
    item = upload(bucket, scenes(videos, COUNTER, BARS, RAINBOW))
    outcome = outcome_of(item)
    assert outcome.result is not None
    assert outcome.result["shots"] == 3
    frames = outcome.result["frames"]
    assert [time // 1000 for time in times_of(outcome.result)] == [0, 1, 2]
    assert sum(frame["is_poster"] for frame in frames) == 1
    assert {frame["key"] for frame in frames} | {item.output_prefix + "result.json"} == {each.key for each in outcome.outputs}
    for frame in frames:
        assert frame["key"] == f"{item.output_prefix}{frame['timecode_ms']:08d}.jpg"
        stored = bucket.s3.get_object(Bucket=bucket.name, Key=frame["key"])
        body = stored["Body"].read()
        assert frame["sha256"] == hashlib.sha256(body).hexdigest()
        assert (frame["version_id"], frame["etag"]) == (stored["VersionId"], stored["ETag"].strip('"'))
        assert (frame["size_bytes"], stored["ContentType"]) == (len(body), "image/jpeg")
        shown = picture(bucket, frame)
        assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", (frame["width"], frame["height"])) == (
            "JPEG", "RGB", (160, 120),
        )  # fmt: skip
        assert set(shown.info) == {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


def test_the_same_video_gives_the_same_bytes(bucket: Bucket, videos: Videos) -> None:
    one, other = (result_of(upload(bucket, scenes(videos, COUNTER, BARS)))["frames"] for _ in range(2))
    assert [frame["sha256"] for frame in one] == [frame["sha256"] for frame in other]


@pytest.mark.parametrize(("limits", "expected"), [({"per_minute": 40}, 2), ({"per_minute": 0.5}, 1), ({"max_frames": 2}, 2)])
def test_no_more_than_wanted(bucket: Bucket, videos: Videos, limits: dict[str, float], expected: int) -> None:
    result = result_of(upload(bucket, scenes(videos, COUNTER, BARS, RAINBOW)), **limits)
    assert (len(result["frames"]), result["shots"]) == (expected, 3)


def test_black_is_passed_over(bucket: Bucket, videos: Videos) -> None:
    result = result_of(upload(bucket, scenes(videos, BLACK, COUNTER, BLACK)))
    assert [time // 1000 for time in times_of(result)] == [1]


def test_of_a_black_video_there_is_a_poster(bucket: Bucket, videos: Videos) -> None:
    (frame,) = result_of(upload(bucket, scenes(videos, BLACK)))["frames"]
    assert frame["is_poster"]


def test_turned_and_stretched_videos_are_upright_in_square_pixels(bucket: Bucket, videos: Videos) -> None:
    straight = picture(bucket, result_of(upload(bucket, videos("mp4"), duration_ms=2000))["frames"][0])
    turned = picture(bucket, result_of(upload(bucket, videos("rotated_90"), duration_ms=2000, rotation=90))["frames"][0])
    assert turned.size == (120, 160)
    difference = np.asarray(ImageChops.difference(turned.rotate(90, expand=True), straight))
    assert difference.mean() < 5
    wide = result_of(upload(bucket, videos("anamorphic"), duration_ms=2000, sample_aspect_ratio=[4, 3]))["frames"][0]
    assert (wide["width"], wide["height"]) == (213, 120)
    small = result_of(upload(bucket, videos("mp4"), duration_ms=2000), max_side_px=80)["frames"][0]
    assert (small["width"], small["height"]) == (80, 60)


@pytest.mark.parametrize("name", ["webm", "avi", "m2ts", "odd", "hdr", "cover"])
def test_every_accepted_kind(bucket: Bucket, videos: Videos, name: str) -> None:
    assert len(result_of(upload(bucket, videos(name), duration_ms=2000))["frames"]) == 1


def test_a_change_of_size_in_mid_stream(bucket: Bucket, videos: Videos) -> None:
    small, large = (
        videos.make("-f", "lavfi", "-t", "1", "-i", f"{source}size={size}:rate=10", "-output_ts_offset", at, *H264, ".ts")
        for source, size, at in ((COUNTER, "160x120", "0"), (BARS, "320x180", "1"))
    )
    result = result_of(upload(bucket, small.read_bytes() + large.read_bytes()))
    assert [time // 1000 for time in times_of(result)] == [0, 1]
    assert {(frame["width"], frame["height"]) for frame in result["frames"]} == {(160, 120)}


def test_broken_pictures_are_passed_over(bucket: Bucket, videos: Videos) -> None:
    body = bytearray(counting(videos, *H264, ".ts").read_bytes())
    for position in range(len(body) // 3, len(body) // 2, 97):
        body[position] ^= 0x55
    assert result_of(upload(bucket, bytes(body)))["frames"]


def test_a_video_without_a_picture_that_decodes_is_corrupt(bucket: Bucket, videos: Videos) -> None:
    body = bytearray(videos("moov_last").read_bytes())
    start, end = body.index(b"mdat") + 4, body.index(b"moov")
    body[start:end] = bytes(end - start)
    assert fault(outcome_of(upload(bucket, bytes(body)))) == (
        ErrorCode.CORRUPT, "none of the video's pictures can be decoded", False,
    )  # fmt: skip


def test_files_that_are_no_video(bucket: Bucket, videos: Videos) -> None:
    playlist = outcome_of(upload(bucket, b"ffconcat version 1.0\nfile /etc/hostname\n"))
    assert code_of(playlist) is ErrorCode.UNSUPPORTED_FORMAT
    sound = outcome_of(upload(bucket, videos("sound")))
    assert code_of(sound) is ErrorCode.UNSUPPORTED_FORMAT
    inside = outcome_of(upload(bucket, b"\0\0\0\x14ftypqt  \0\0\0\0qt  ffconcat version 1.0\nfile /etc/hostname\n"))
    assert code_of(inside) is ErrorCode.CORRUPT


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_video_frames": 10}, ErrorCode.TOO_MANY_FRAMES),
        ({"max_video_bytes": 1000}, ErrorCode.TOO_MANY_BYTES),
        ({"max_video_pixels": 100}, ErrorCode.CORRUPT),
        ({"remaining_ms": 5_050}, ErrorCode.TIMEOUT),
        ({"remaining_ms": 4_000}, ErrorCode.TIMEOUT),
    ],
)
def test_limits(bucket: Bucket, videos: Videos, limits: dict[str, int], code: ErrorCode) -> None:
    assert code_of(outcome_of(upload(bucket, videos("mp4")), **limits)) is code


def test_a_later_attempt_returns_what_the_first_one_stored(bucket: Bucket, videos: Videos) -> None:
    item = upload(bucket, videos("mp4"), duration_ms=2000)
    first = result_of(item)
    bucket.s3.delete_object(Bucket=bucket.name, Key=item.key, VersionId=item.version_id)
    assert outcome_of(item, attempt=2).result == first
