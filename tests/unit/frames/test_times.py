"""A frame belongs to its time: every picture that a survey saw is found again, and is the one of that time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lambdas.frames.retrieval import retrieve
from lambdas.frames.survey import survey
from lambdas.frames.track import Track
from lambdas.runtime.video.formats import VideoFormat
from tests.unit.frames.counting import RATE, counting, number
from tests.unit.videos import Videos

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
B_FRAMES = (*X264, "-bf", "3", "-g", "8", "-x264-params", "b-adapt=0:bframes=3:b-pyramid=normal")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-g", "8", "-x265-params", "log-level=none:bframes=3:open-gop=1")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "8")

CASES = {
    "mp4": (*X264, "-g", "8", ".mp4"),
    "one keyframe": (*X264, "-g", "1000", ".mp4"),
    "B frames": (*B_FRAMES, ".mp4"),
    "open groups of pictures": (*B_FRAMES, "-x264-params", "b-adapt=0:bframes=3:open-gop=1", ".mkv"),
    "fragmented": (*B_FRAMES, "-movflags", "frag_keyframe+empty_moov", ".mp4"),
    "HEVC in mov": (*X265, "-tag:v", "hvc1", ".mov"),
    "webm": (*VP9, ".webm"),
    "no index": (*VP9, "-live", "1", ".webm"),
    "transport stream": (*B_FRAMES, ".ts"),
    "avi": ("-c:v", "mpeg4", "-g", "5", ".avi"),
    "avi with B frames": ("-c:v", "mpeg4", "-bf", "2", "-g", "5", ".avi"),
    "H.264 in avi": (*B_FRAMES, ".avi"),
    "starts late": (*B_FRAMES, "-output_ts_offset", "7.3", ".mkv"),
}


def format_of(path: Path) -> VideoFormat:
    return VideoFormat(path.suffix[1:])


def retrieved(path: Path, spacing: float = 0) -> list[tuple[int, int]]:
    """Of each picture that could be chosen: its time, and which one it is."""
    with path.open("rb") as file:
        track = Track(file, format_of(path).demuxer, 1_000_000)
        found = survey(track, 3000, spacing, 1000, lambda share: None)
        candidates = {each.index: each for shot in found.shots() for each in shot}
        frames = list(retrieve(track, found, found.sightings(candidates.values()), spacing))
    assert sorted(sighting.index for sighting, _ in frames) == list(candidates)
    return [
        (candidates[sighting.index].timecode_ms, number(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)))
        for sighting, frame in frames
    ]


@pytest.mark.parametrize("options", CASES.values(), ids=CASES)
def test_pictures_are_those_of_their_time(videos: Videos, options: tuple[str, ...]) -> None:
    found = retrieved(counting(videos, *options))
    assert len(found) >= 14
    assert sorted(found)[0] == (0, 0)
    assert [which for _, which in found] == [round(time / 1000 * RATE) for time, _ in found]


def test_mpeg_2_in_a_transport_stream(videos: Videos) -> None:
    found = retrieved(counting(videos, "-c:v", "mpeg2video", "-bf", "2", "-g", "9", ".ts", rate=25))
    assert len(found) >= 14
    assert all(time == which * 40 for time, which in found)


def test_a_variable_frame_rate(videos: Videos) -> None:
    path = counting(videos, "-fps_mode", "vfr", *B_FRAMES, ".mp4", select=r"select=lt(n\,8)+not(mod(n\,5))")
    assert [time for time, _ in retrieved(path)][-3:] == [1500, 2000, 2500]
    assert all(time == which * 100 for time, which in retrieved(path))


def test_an_edit_list_hides_the_beginning(videos: Videos) -> None:
    whole = counting(videos, *X264, "-bf", "2", "-g", "8", ".mp4")
    cut = videos.make("-ss", "1.3", "-i", str(whole), "-c", "copy", ".mp4")
    found = retrieved(cut)
    assert found[0] == (0, 13)
    assert all(time == (which - 13) * 100 for time, which in found)


def test_keyframes_only(videos: Videos) -> None:
    found = retrieved(counting(videos, *B_FRAMES, ".mp4"), spacing=1000)
    assert found == [(0, 0), (1600, 16)]
