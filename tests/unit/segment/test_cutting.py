"""Given a video and a plan, then segments that browsers play: what is copied, what is encoded, and that they are the video."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import av
import pytest

from lambdas.runtime.contract import ErrorCode
from lambdas.segment.mp4 import read_mp4
from tests.unit.conftest import Bucket
from tests.unit.segment.segmenting import Segmented, claps, fixed, outcome_of, planned, segmented, uploaded
from tests.unit.videos import Videos

FRAME_SECONDS = 0.1


def check_playable(found: Segmented) -> None:
    """H.264 with AAC or without sound, index first, from a keyframe to a last picture that decodes, and nothing else."""
    for segment in found.segments:
        with segment.open() as container:
            assert {stream.type for stream in container.streams} <= {"video", "audio"}
            assert container.streams.video[0].codec_context.name == "h264"
            assert [stream.codec_context.name for stream in container.streams.audio] in ([], ["aac"])
        assert segment.frames[0].key_frame
        assert {frame.format.name for frame in segment.frames} == {"yuv420p"}
        assert segment.body.index(b"moov") < segment.body.index(b"mdat")
    shown = sum(segment.seconds for segment in found.segments)
    assert shown == pytest.approx(found.duration_ms / 1000, abs=FRAME_SECONDS)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("mp4", "copied"),
        ("moov_last", "copied"),
        ("fragmented", "copied"),
        ("mov", "copied"),
        ("mkv", "copied"),
        ("ts", "copied"),
        ("m2ts", "copied"),
        ("3gp", "copied"),
        ("silent", "copied"),
        ("two_audio", "copied"),
        ("vfr", "copied"),
        ("anamorphic", "copied"),
        ("rotated_90", "copied"),
        ("cover", "copied"),
        ("webm", "encoded"),
        ("webm_live", "encoded"),
        ("avi", "encoded"),
        ("odd", "encoded"),
        ("hdr", "encoded"),
        ("hlg", "encoded"),
    ],
)
def test_whatever_is_accepted_becomes_segments(name: str, mode: str, bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos(name))
    for exact in (False, True):
        found = segmented(
            bucket, planned(item, 1000).model_copy(update={"output_prefix": f"derived/{name}-{exact}/"}), exact=exact
        )
        assert found.mode == ("encoded" if exact else mode)
        check_playable(found)
        assert found.duration_ms == item.input["video"]["duration_ms"]
        assert len(found.segments) >= 2
        assert found.segments[1].start_ms == pytest.approx(1000, abs=200 if name == "vfr" else 110)


def test_a_copy_is_cut_at_the_first_keyframe_after_the_plan_and_its_pictures_are_the_sources(
    bucket: Bucket, videos: Videos
) -> None:
    video = videos("silent")
    found = segmented(bucket, planned(uploaded(bucket, video), 700))
    assert found.bounds == [(0, 1000), (1000, 1500), (1500, 2000)]
    with av.open(str(video)) as source:
        pictures = [bytes(frame.planes[0]) for frame in source.decode(source.streams.video[0])]
    assert [bytes(frame.planes[0]) for segment in found.segments for frame in segment.frames] == pictures


def test_two_cuts_on_one_keyframe_are_one_and_the_next_keyframe_is_not_taken_for_the_other(
    bucket: Bucket, videos: Videos
) -> None:
    cuts = [[0, 100], [100, 200], [200, 300], [300, 1600], [1600, 2000]]
    found = segmented(bucket, planned(uploaded(bucket, videos("mp4")), cuts=cuts))
    # Keyframes are at 0, 0.5, 1 and 1.5 s: the muxer alone would also cut at 1 and 1.5.
    assert (found.mode, found.bounds) == ("copied", [(0, 500), (500, 2000)])
    check_playable(found)


def test_cuts_where_no_picture_begins_are_one_when_encoded_too(bucket: Bucket, videos: Videos) -> None:
    still = videos.make(
        "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=4", "-vf", r"select=lt(t\,1)+gte(t\,2.5)",
        "-fps_mode", "vfr", "-c:v", "libx264", "-preset", "ultrafast", ".mp4",
    )  # fmt: skip
    cuts = [[0, 1200], [1200, 1600], [1600, 2000], [2000, 3200], [3200, 4000]]
    found = segmented(bucket, planned(uploaded(bucket, still), cuts=cuts), exact=True)
    assert found.bounds == [(0, 2500), (2500, 3200), (3200, 4000)]
    check_playable(found)


def test_a_video_without_cuts_is_one_segment(bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos("mp4"))
    for exact in (False, True):
        found = segmented(bucket, planned(item, 60_000), exact=exact)
        assert found.bounds == [(0, 2000)]
        check_playable(found)


def test_exact_cuts_are_exact(bucket: Bucket, videos: Videos) -> None:
    for name, preset in (("mp4", "ultrafast"), ("ts", "veryfast")):
        found = segmented(bucket, planned(uploaded(bucket, videos(name)), 300), exact=True, preset=preset)
        assert [start for start, _ in found.bounds] == list(range(0, 2000, 300))
        check_playable(found)


def test_plans_count_from_the_first_picture_also_where_sound_comes_before_it(bucket: Bucket, videos: Videos) -> None:
    video = videos.make(
        "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3",
        "-itsoffset", "0.75", "-i", str(videos("shots")),
        "-map", "1", "-map", "0", "-c:v", "copy", "-c:a", "aac", ".mkv",
    )  # fmt: skip
    item = uploaded(bucket, video)
    cuts, scenes = fixed(3000, 1000), {"type": "scenes", "min_duration": 0.5, "max_duration": 60.0}
    for found in (
        segmented(bucket, planned(item, cuts=cuts)),
        segmented(bucket, planned(item, cuts=cuts), exact=True),
        segmented(bucket, planned(item), cut=scenes, exact=True),
        segmented(bucket, planned(item, cuts=cuts, texts=["a", "b b", "c"])),
    ):
        assert [start for start, _ in found.bounds] == pytest.approx([0, 1000, 2000], abs=2)
        assert found.duration_ms == pytest.approx(3000, abs=2)
        for segment, colour in zip(found.segments, ((254, 0, 0), (0, 128, 0), (0, 0, 254)), strict=True):
            for index in (0, -1):
                assert segment.picture(index).getpixel((10, 10)) == pytest.approx(colour, abs=8)
    text_of_the_first, text_of_the_second = (
        [segment.picture(index).convert("L").point(lambda level: 255 * (level > 200)).getbbox() for index in (0, -1)]
        for segment in found.segments[:2]
    )
    assert text_of_the_first[0] == text_of_the_first[1] != text_of_the_second[0] == text_of_the_second[1]


def test_only_sound_is_encoded_where_only_sound_has_to_be(bucket: Bucket, videos: Videos) -> None:
    video = videos.make("-i", str(videos("mp4")), "-c:v", "copy", "-c:a", "libmp3lame", ".mp4")
    found = segmented(bucket, planned(uploaded(bucket, video), 1000))
    assert found.mode == "audio_encoded"
    check_playable(found)
    with av.open(BytesIO(found.segments[0].body)) as made, av.open(str(video)) as source:
        made_packets, packets = ([bytes(packet) for packet in each.demux(video=0)][:5] for each in (made, source))
    assert made_packets == packets


def test_h264_that_browsers_dont_play_is_encoded(bucket: Bucket, videos: Videos) -> None:
    picture = ("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=2")
    for pixels in ("yuv422p", "yuv444p", "yuv420p10le"):
        video = videos.make(*picture, "-c:v", "libx264", "-preset", "ultrafast", "-g", "5", "-pix_fmt", pixels, ".mp4")
        found = segmented(bucket, planned(uploaded(bucket, video), 1000))
        assert (pixels, found.mode) == (pixels, "encoded")
        check_playable(found)


def test_the_first_of_several_sound_tracks_is_kept(bucket: Bucket, videos: Videos) -> None:
    found = segmented(bucket, planned(uploaded(bucket, videos("two_audio")), 1000))
    with found.segments[0].open() as container:
        (track,) = container.streams.audio
        assert (track.codec_context.channels, track.codec_context.sample_rate) == (2, 48_000)


def of_an_unknown_codec(videos: Videos) -> bytes:
    """AC-4, for which FFmpeg has no decoder."""
    return videos("two_audio").read_bytes().replace(b"mp4a", b"ac-4", 1).replace(b"esds", b"free", 1)


def without_channels(videos: Videos) -> bytes:
    """The very codec of the second one."""
    body = videos("two_audio").read_bytes()
    at = body.index(b"mp4a") + 20  # ISO/IEC 14496-12, AudioSampleEntry: channelcount
    return (body[:at] + bytes(2) + body[at + 2 :]).replace(b"esds", b"free", 1)


def without_packets(videos: Videos) -> bytes:
    ts = videos.make("-i", str(videos("two_audio")), "-map", "0", "-c", "copy", ".ts").read_bytes()
    packets = (ts[at : at + 188] for at in range(0, len(ts), 188))
    return b"".join(each for each in packets if int.from_bytes(each[1:3]) & 0x1FFF != 0x101)


@pytest.mark.parametrize(
    ("first", "exact", "mode"),
    [
        (of_an_unknown_codec, False, "copied"),
        (of_an_unknown_codec, True, "encoded"),
        (without_channels, False, "copied"),
        (without_packets, False, "copied"),
    ],
)
def test_a_first_track_of_sound_that_nobody_can_decode_is_passed_over(
    first: Callable[[Videos], bytes], exact: bool, mode: str, bucket: Bucket, videos: Videos
) -> None:
    """What is cut is the first one that probe lists."""
    item = uploaded(bucket, first(videos))
    assert [(track["channels"], track["sample_rate_hz"]) for track in item.input["video"]["audio"]] == [(1, 44_100)]
    found = segmented(bucket, planned(item, 1000), exact=exact)
    assert found.mode == mode
    check_playable(found)
    for segment in found.segments:
        with segment.open() as container:
            (track,) = container.streams.audio
            assert (track.codec_context.channels, track.codec_context.sample_rate) == (1, 44_100)
            assert sum(frame.samples for frame in container.decode(track)) > 40_000


def test_a_track_of_sound_that_is_no_longer_there_is_an_error(bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos("mp4"))
    item.input["video"]["audio"][0]["codec"] = "opus"
    error = outcome_of(planned(item, 1000)).error
    assert error is not None
    assert (error.code, error.retryable) == (ErrorCode.STEP_ERROR, False)


@pytest.mark.parametrize(("name", "turn"), [("rotated_90", 90), ("rotated_180", 180), ("rotated_270", 270)])
def test_rotation_is_kept_by_copies_and_applied_by_encoding(name: str, turn: int, bucket: Bucket, videos: Videos) -> None:
    item = uploaded(bucket, videos(name))
    copied = segmented(bucket, planned(item, 1000)).segments[0]
    assert copied.frames[0].rotation % 360 == 360 - turn
    encoded = segmented(bucket, planned(item, 1000), exact=True)
    (frame, *_) = encoded.segments[0].frames
    assert frame.rotation == 0
    assert (frame.width, frame.height) == ((160, 120) if turn == 180 else (120, 160))
    upright = copied.picture(0).rotate(-turn, expand=True).convert("L").resize((8, 8))
    made = encoded.segments[0].picture(0).convert("L").resize((8, 8))
    assert max(abs(one - other) for one, other in zip(upright.tobytes(), made.tobytes(), strict=True)) < 20


def test_encoded_pictures_have_square_pixels_and_even_sides(bucket: Bucket, videos: Videos) -> None:
    for name, size in (("anamorphic", (212, 120)), ("odd", (160, 120))):
        found = segmented(bucket, planned(uploaded(bucket, videos(name)), 1000), exact=True)
        assert (found.segments[0].frames[0].width, found.segments[0].frames[0].height) == size
        with found.segments[0].open() as container:
            assert container.streams.video[0].sample_aspect_ratio in (None, 0, 1)


def test_a_variable_frame_rate_is_kept(bucket: Bucket, videos: Videos) -> None:
    video = videos("vfr")
    with av.open(str(video)) as source:
        times = [round(float(frame.time), 3) for frame in source.decode(source.streams.video[0])]
    found = segmented(bucket, planned(uploaded(bucket, video), 700), exact=True)
    made = [round(segment.start_ms / 1000 + float(frame.time), 3) for segment in found.segments for frame in segment.frames]
    assert made == times


@pytest.mark.parametrize("name", ["hdr", "hlg"])
def test_high_dynamic_range_is_mapped_to_standard(name: str, bucket: Bucket, videos: Videos) -> None:
    found = segmented(bucket, planned(uploaded(bucket, videos(name)), 1000))
    with found.segments[0].open() as container:
        context = container.streams.video[0].codec_context
        assert (context.color_trc, context.color_primaries, context.colorspace) == (1, 1, 1)
    levels = found.segments[0].picture(5).convert("L").getextrema()
    assert levels[0] < 60
    assert levels[1] > 120


@pytest.mark.parametrize(("exact", "codec"), [(False, "aac"), (True, "aac"), (False, "libmp3lame")])
def test_sound_stays_in_sync(exact: bool, codec: str, bucket: Bucket, videos: Videos) -> None:
    video = videos.make(
        "-f", "lavfi", "-i", "color=black:size=160x120:rate=30:duration=6",
        "-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000:duration=6",
        "-filter_complex",
        "[0]geq=lum='if(between(mod(T,1),0.495,0.55),255,16)':cb=128:cr=128[v];"
        "[1]asetnsamples=48,volume='if(between(mod(t,1),0.5,0.55),8,0)':eval=frame[a]",
        "-map", "[v]", "-map", "[a]",
        "-c:v", "libx264", "-preset", "veryfast", "-g", "24", "-c:a", codec, ".mp4",
    )  # fmt: skip
    found = segmented(bucket, planned(uploaded(bucket, video), 1700), exact=exact, preset="veryfast")
    flashes, clicks = [], []
    for segment in found.segments:
        seen, heard = claps(segment.body)
        flashes += [segment.start_ms / 1000 + time for time in seen]
        clicks += [segment.start_ms / 1000 + time for time in heard]
    assert flashes == pytest.approx([0.5, 1.5, 2.5, 3.5, 4.5, 5.5], abs=0.002)
    assert clicks == pytest.approx(flashes, abs=0.040)
    assert clicks == pytest.approx(claps(video.read_bytes())[1], abs=0.003 if codec == "aac" else 0.040)


def test_metadata_of_the_source_stay_there(bucket: Bucket, videos: Videos) -> None:
    video = videos.make("-i", str(videos("mp4")), "-c", "copy", "-metadata", "title=Ada at home", ".mp4")
    assert b"Ada at home" in video.read_bytes()
    item = uploaded(bucket, video)
    for exact in (False, True):
        for segment in segmented(bucket, planned(item, 1000), exact=exact).segments:
            assert b"Ada at home" not in segment.body


def test_what_is_made_is_read_without_decoding_it(videos: Videos) -> None:
    made = read_mp4(videos("mp4"))
    assert (made.pictures, made.begins_with_keyframe, made.plays_in_browsers, made.index_first) == (20, True, True, True)
    assert made.duration_ms == pytest.approx(2000, abs=30)
    assert not read_mp4(videos("moov_last")).index_first
    assert not read_mp4(videos("hdr")).plays_in_browsers
