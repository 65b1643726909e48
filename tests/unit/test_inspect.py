"""The function that looks into segments and compares frames with their video."""

from __future__ import annotations

import io
import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from PIL import Image, ImageChops, ImageStat

from lambdas.inspect import pictures
from lambdas.inspect.handler import handler
from lambdas.inspect.likeness import difference, of_jpeg
from lambdas.runtime.contract import ErrorCode
from lambdas.runtime.inspection import (
    MOST_PICTURE_BYTES,
    MOST_PICTURE_PX,
    MOST_PICTURES,
    FrameMatch,
    FrameToFind,
    InspectionAnswer,
    InspectionRequest,
    SegmentFacts,
    Source,
)
from lambdas.runtime.step import BadRequest, StepError
from tests.unit.conftest import Bucket, LambdaContext
from tests.unit.frames.counting import counting
from tests.unit.videos import Videos

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10")
FASTSTART = ("-movflags", "+faststart")


def inspected(bucket: Bucket, context: LambdaContext | None = None, **asked: Any) -> InspectionAnswer:
    request = InspectionRequest(bucket=bucket.name, max_bytes=10_000_000, max_pixels=1_000_000, **asked)
    return InspectionAnswer.model_validate_json(
        json.dumps(handler(request.model_dump(mode="json"), context or LambdaContext()))
    )


def facts_of(bucket: Bucket, segment: Path | bytes) -> SegmentFacts:
    item = bucket.put(segment if isinstance(segment, bytes) else segment.read_bytes(), "segment")
    (facts,) = inspected(bucket, segments=(item.key,)).segments
    return facts


def late_sound(videos: Videos, seconds: float) -> Path:
    """The plain video, its sound delayed, or its picture where seconds are negative."""
    source = str(videos("mp4"))
    delayed = (("-itsoffset", str(-seconds)), ()) if seconds < 0 else ((), ("-itsoffset", str(seconds)))
    inputs = (*delayed[0], "-i", source, *delayed[1], "-i", source)
    return videos.make(*inputs, "-map", "0:v", "-map", "1:a", "-c", "copy", *FASTSTART, ".mp4")


# segments


def test_a_segment_is_told_as_it_is_played(bucket: Bucket, videos: Videos) -> None:
    facts = facts_of(bucket, videos("mp4"))
    assert facts.decodes
    assert (facts.frames, facts.duration_ms, facts.longest_frame_ms) == (20, 2000, 100)
    assert facts.begins_with_keyframe
    assert facts.faststart
    assert (facts.video_codec, facts.pixel_format, facts.audio_codec) == ("h264", "yuv420p", "aac")
    assert facts.audio_offset_ms == pytest.approx(0, abs=1)
    assert facts.audio_duration_ms == pytest.approx(2000, abs=25)
    assert facts.audio_packet_ms == pytest.approx(1024 / 48, abs=0.1)


def test_a_segment_without_sound_has_none(bucket: Bucket, videos: Videos) -> None:
    facts = facts_of(bucket, videos("silent"))
    assert facts.decodes
    assert (facts.audio_codec, facts.audio_offset_ms, facts.audio_duration_ms, facts.audio_packet_ms) == (None,) * 4


def test_a_segment_that_breaks_off_is_found_out(bucket: Bucket, videos: Videos) -> None:
    whole = videos("mp4").read_bytes()
    facts = facts_of(bucket, whole[: len(whole) * 2 // 3])
    assert facts.problem is not None
    assert facts.problem.startswith("it breaks off: ")
    assert facts.problem.endswith(" of 20 pictures are in the file")


def test_pictures_that_dont_decode_are_found_out(bucket: Bucket, videos: Videos) -> None:
    damaged = bytearray(videos("silent").read_bytes())
    data = damaged.index(b"mdat") + 4
    damaged[data + 2000 : len(damaged) - 2000] = bytes(len(damaged) - data - 4000)
    facts = facts_of(bucket, bytes(damaged))
    assert facts.problem is not None
    assert "decode" in facts.problem


@pytest.mark.parametrize("seconds", [0.2, -0.2])
def test_sound_that_is_late_or_early_is_measured(seconds: float, bucket: Bucket, videos: Videos) -> None:
    facts = facts_of(bucket, late_sound(videos, seconds))
    assert facts.decodes
    assert facts.audio_offset_ms == pytest.approx(seconds * 1000, abs=25)


def test_what_a_browser_would_not_play_at_once_is_told(bucket: Bucket, videos: Videos) -> None:
    assert not facts_of(bucket, videos("moov_last")).faststart
    tail = videos.make("-i", str(videos("silent")), "-c", "copy", "-bsf:v", r"noise=drop=eq(n\,0)", *FASTSTART, ".mp4")
    assert not facts_of(bucket, tail).begins_with_keyframe
    other = facts_of(bucket, videos.make("-i", str(videos("silent")), "-c:v", "mpeg4", *FASTSTART, ".mp4"))
    assert (other.decodes, other.video_codec) == (True, "mpeg4")


def test_files_that_are_no_segments_are_answers_not_failures(bucket: Bucket, videos: Videos) -> None:
    junk, sound = (bucket.put(body).key for body in (b"#EXTM3U\nfile:///etc/passwd\n", videos("sound").read_bytes()))
    large = bucket.put(bytes(10_000_001)).key
    problems = {facts.key: facts.problem for facts in inspected(bucket, segments=(junk, "gone.mp4", sound, large)).segments}
    assert problems == {
        junk: "FFmpeg can't read the file",
        "gone.mp4": "an object that an earlier step wrote is missing",
        sound: "the file has no video track that can be decoded",
        large: "the file has 10,000,001 bytes; the limit is 10,000,000",
    }


# frames


def jpeg(rgb: Image.Image) -> bytes:
    buffer = io.BytesIO()
    rgb.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def field_picture(number: int) -> bytes:
    """The picture of that number in a counting video, larger."""
    width, fields = 160, 8
    image = Image.new("L", (width, 48))
    for position in range(fields):
        grey = 40 + 160 * ((number + 1) >> position & 1)
        image.paste(grey, (position * width // fields, 0, (position + 1) * width // fields, 48))
    return jpeg(image.resize((320, 96)).convert("RGB"))


def matches(bucket: Bucket, video: Path, frames: dict[int, bytes], **source: Any) -> list[FrameMatch]:
    """What is said of frames at their times, in milliseconds, in their order."""
    item = bucket.put(video.read_bytes(), "video")
    wanted = tuple(FrameToFind(key=bucket.put(body).key, timecode_ms=at) for at, body in frames.items())
    described = Source(key=item.key, version_id=item.version_id, size_bytes=item.size_bytes, **source)
    answer = inspected(bucket, source=described, frames=wanted)
    assert answer.left_out == ()
    by_key = {match.key: match for match in answer.frames}
    return [by_key[frame.key] for frame in wanted]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".ts"])
def test_a_frame_is_like_the_picture_at_its_time_and_unlike_its_neighbours(ending: str, bucket: Bucket, videos: Videos) -> None:
    video = counting(videos, *H264, ending)
    found = matches(bucket, video, {at * 100: field_picture(at) for at in (0, 7, 23, 29)})
    assert all(match.at is not None and match.at < 8 for match in found)
    assert [(match.before is None, match.after is None) for match in found] == [
        *((True, False), (False, False), (False, False), (False, True))
    ]
    assert all(around > 20 for match in found for around in (match.before, match.after) if around is not None)


def test_a_frame_at_anothers_time_is_unlike(bucket: Bucket, videos: Videos) -> None:
    first, second, beyond = matches(
        bucket, counting(videos, *H264, ".mp4"), {700: field_picture(12), 1200: field_picture(7), 9000: field_picture(7)}
    )
    assert first.at is not None
    assert first.after is not None
    assert first.at > 20
    assert first.after < 8  # it belongs half a second later
    assert second.before is not None
    assert second.before < 8
    assert (beyond.at, beyond.problem) == (None, None)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_frames_are_upright_and_videos_turned_as_they_are_shown(degrees: int, bucket: Bucket, videos: Videos) -> None:
    image = Image.open(videos.make("-i", str(videos("silent")), "-frames:v", "1", ".png")).convert("RGB")
    shown = jpeg(image.rotate(-degrees, expand=True))
    (right,) = matches(bucket, videos(f"rotated_{degrees}"), {0: shown}, rotation=degrees)
    (wrong,) = matches(bucket, videos(f"rotated_{degrees}"), {0: shown})
    assert right.at is not None
    assert wrong.at is not None
    assert right.at < 4 < 20 < wrong.at


def test_frames_that_are_gone_or_no_pictures_are_answers(bucket: Bucket, videos: Videos) -> None:
    item = bucket.put(videos("silent").read_bytes(), "video")
    junk = bucket.put(b"no picture").key
    source = Source(key=item.key, version_id=item.version_id, size_bytes=item.size_bytes)
    frames = (FrameToFind(key="gone.jpg", timecode_ms=0), FrameToFind(key=junk, timecode_ms=100))
    assert [match.problem for match in inspected(bucket, source=source, frames=frames).frames] == [
        "an object that an earlier step wrote is missing",
        "it doesn't decode (UnidentifiedImageError)",
    ]
    gone = source.model_copy(update={"version_id": "none"})
    assert {match.problem for match in inspected(bucket, source=gone, frames=frames).frames} == {
        "its video can't be looked at: this version of the file no longer exists"
    }
    text = bucket.put(b"ffconcat version 1.0\nfile /etc/passwd\n")
    listed = Source(key=text.key, version_id=text.version_id, size_bytes=text.size_bytes)
    assert {match.problem for match in inspected(bucket, source=listed, frames=frames).frames} == {
        "its video can't be looked at: the file is no video of an accepted format"
    }


@pytest.mark.parametrize(("seconds", "offset"), [(0.2, 200), (-0.2, -200)])
def test_the_beginning_of_a_sources_sound_is_told(seconds: float, offset: float, bucket: Bucket, videos: Videos) -> None:
    item = bucket.put(late_sound(videos, seconds).read_bytes(), "video")
    source = Source(key=item.key, version_id=item.version_id, size_bytes=item.size_bytes)
    assert inspected(bucket, source=source).source_audio_offset_ms == pytest.approx(offset, abs=25)


def test_brightness_and_contrast_make_no_difference_to_pictures_but_flat_ones() -> None:
    gradient = Image.linear_gradient("L")
    darker = gradient.point(lambda level: level // 2 + 20)
    plain, dark, turned = (of_jpeg(jpeg(each.convert("RGB")), 48) for each in (gradient, darker, gradient.rotate(90)))
    assert difference(plain, dark) < 2
    assert difference(plain, turned) > 50
    red, blue = (of_jpeg(jpeg(Image.new("RGB", (64, 64), colour)), 48) for colour in ("red", "blue"))
    assert difference(red, blue) > 40


# pictures of segments


def test_a_segment_shows_its_first_picture_upright_in_square_pixels(bucket: Bucket, videos: Videos) -> None:
    first = Image.open(videos.make("-i", str(videos("mp4")), "-frames:v", "1", ".png")).convert("RGB")
    wide = first.resize((213, 120))
    wanted = {
        "mp4": (first, (128, 96)),
        "rotated_90": (first.rotate(-90, expand=True), (96, 128)),
        "rotated_180": (first.rotate(180), (128, 96)),
        "rotated_270": (first.rotate(90, expand=True), (96, 128)),
        "anamorphic": (wide, (128, 72)),
    }
    keys = {name: bucket.put(videos(name).read_bytes()).key for name in wanted}
    answer = inspected(bucket, pictures=tuple(keys.values()), picture_px=128)
    assert [picture.key for picture in answer.pictures] == [*keys.values()]
    for (picture, size), shown in zip(wanted.values(), answer.pictures, strict=True):
        assert shown.jpeg is not None
        with Image.open(io.BytesIO(shown.jpeg)) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)
            apart = ImageChops.difference(image.convert("RGB"), picture.resize(size, Image.Resampling.BOX))
        assert sum(ImageStat.Stat(apart).mean) / 3 < 20


def put_segments(bucket: Bucket, *bodies: bytes | None) -> tuple[str, ...]:
    """Of one video. One without a body isn't there."""
    folder = f"processed/{uuid.uuid4()}"
    keys = tuple(f"{folder}/segment_{index:03d}.mp4" for index in range(len(bodies)))
    for key, body in zip(keys, bodies, strict=True):
        if body is not None:
            bucket.s3.put_object(Bucket=bucket.name, Key=key, Body=body)
    return keys


def test_what_is_no_segment_shows_nothing_and_hides_none(bucket: Bucket, videos: Videos) -> None:
    whole, playlist = videos("mp4").read_bytes(), b"#EXTM3U\nfile:///etc/passwd\n"
    keys = put_segments(bucket, playlist, whole[: len(whole) // 3], None, videos("sound").read_bytes(), b"", whole)
    shown = inspected(bucket, pictures=keys).pictures
    assert [picture.key for picture in shown] == [*keys]
    assert [picture.jpeg is not None for picture in shown] == [False, True, False, False, False, True]
    assert shown[1].jpeg == shown[5].jpeg


@pytest.mark.parametrize(("code", "known"), [(ErrorCode.CRASHED, [True, False]), (ErrorCode.TIMEOUT, [True])])
def test_nothing_is_said_of_segments_behind_one_that_ends_the_process(
    code: ErrorCode, known: list[bool], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ending(*order: Any) -> Iterator[tuple[dict[str, Any], IO[bytes]]]:
        yield {"width": 10, "height": 10, "rotation": 0}, io.BytesIO(bytes(300))
        raise StepError(code, "the process ended")

    monkeypatch.setattr(pictures, "answers", ending)
    keys = put_segments(bucket, b"one", b"two", b"three")
    shown = inspected(bucket, pictures=keys).pictures
    assert [(picture.key, picture.jpeg is not None) for picture in shown] == [*zip(keys, known, strict=False)]


def test_pictures_of_any_content_fit_into_an_answer(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    side = MOST_PICTURE_PX
    noise = os.urandom(side * side * 3)
    told = {"width": side, "height": side, "rotation": 0}
    monkeypatch.setattr(pictures, "answers", lambda *order: iter([(told, io.BytesIO(noise))]))
    (shown,) = inspected(bucket, pictures=(bucket.put(b"noise").key,)).pictures
    assert shown.jpeg is not None
    assert len(shown.jpeg) <= MOST_PICTURE_BYTES
    assert MOST_PICTURES * MOST_PICTURE_BYTES * 4 / 3 < 6 * 1024 * 1024


@pytest.mark.parametrize(
    ("told", "pixels"),
    [
        ({"width": 200, "height": 10, "rotation": 0}, 6000),
        ({"width": -10, "height": -10, "rotation": 0}, 300),
        ({"width": 10, "height": 10, "rotation": 0}, 299),
        ({"width": "10", "height": 10, "rotation": 0}, 300),
        ({"jpeg": "/9j/"}, 300),
    ],
)
def test_what_the_decoding_process_says_is_not_believed(
    told: dict[str, Any], pixels: int, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "answers", lambda *order: iter([(told, io.BytesIO(bytes(pixels)))]))
    (shown,) = inspected(bucket, pictures=(bucket.put(b"segment").key,), picture_px=128).pictures
    assert shown.jpeg is None


# limits


def test_what_there_is_no_time_for_is_left_out(bucket: Bucket, videos: Videos) -> None:
    first, second = (bucket.put(videos("silent").read_bytes()) for _ in range(2))
    source = Source(key=first.key, version_id=first.version_id, size_bytes=first.size_bytes)
    frames = (FrameToFind(key="a.jpg", timecode_ms=0),)
    hurried = LambdaContext(iter([5_000]))
    answer = inspected(bucket, hurried, segments=(first.key, second.key), source=source, frames=frames, pictures=(first.key,))
    assert answer == InspectionAnswer(left_out=(first.key, second.key, source.key, "a.jpg"))


def test_a_segment_that_takes_all_the_time_is_told_to(bucket: Bucket, videos: Videos) -> None:
    long = videos.make("-f", "lavfi", "-i", "testsrc2=size=640x480:rate=30:duration=20", *H264, ".mp4")
    begun = time.monotonic()
    (facts,) = inspected(bucket, LambdaContext(iter([5_100])), segments=(bucket.put(long.read_bytes()).key,)).segments
    assert facts.problem == "the time that is left isn't enough to decode the video"
    assert time.monotonic() - begun < 5


def test_a_request_that_makes_no_sense_is_refused_without_its_values(aws: str) -> None:
    with pytest.raises(BadRequest, match="bucket") as raised:
        handler({"bucket": 7, "segments": ["secret.mp4"]}, LambdaContext())
    assert "secret" not in str(raised.value)


def test_a_storage_that_doesnt_answer_fails_the_invocation(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError, match="S3 answered NoSuchBucket"):
        handler(
            InspectionRequest(bucket="no-such-bucket", max_bytes=1, max_pixels=1, segments=("a.mp4",)).model_dump(),
            LambdaContext(),
        )
