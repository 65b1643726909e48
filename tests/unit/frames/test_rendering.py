"""A frame shows what a player shows: colours, shape, the right way up."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from lambdas.frames.rendering import render, square_size
from lambdas.frames.tone import HLG, PQ, hdr_to_srgb, wide_to_srgb
from tests.unit.thumbnails import near
from tests.unit.videos import Videos

ORANGE = (210, 120, 40)
LOSSLESS = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "0")


def first(path: Path) -> VideoFrame:
    with av.open(path) as container:
        return next(container.decode(video=0))


def orange(videos: Videos, size: str, matrix: str, span: str, *tags: str, pixels: str = "yuv420p") -> VideoFrame:
    source = f"color=0x{bytes(ORANGE).hex()}:size={size}:rate=10:duration=0.2"
    scale = f"scale=out_color_matrix={matrix}:out_range={span}"
    return first(videos.make("-f", "lavfi", "-i", f"{source},format=gbrp,{scale},format={pixels}", *LOSSLESS, *tags, ".mp4"))


@pytest.mark.parametrize(
    ("size", "matrix", "span", "tags"),
    [
        ("160x120", "bt601", "tv", ("-colorspace", "smpte170m")),
        ("160x120", "bt709", "tv", ("-colorspace", "bt709", "-color_range", "tv")),
        ("160x120", "bt709", "pc", ("-colorspace", "bt709", "-color_range", "pc")),
        ("160x120", "bt601", "pc", ("-colorspace", "bt470bg", "-color_range", "pc")),
        ("160x120", "bt2020", "tv", ("-colorspace", "bt2020nc")),
        ("160x120", "bt601", "tv", ("-colorspace", "unknown")),
        ("1280x720", "bt709", "tv", ("-colorspace", "unknown")),
    ],
)
def test_colours(videos: Videos, size: str, matrix: str, span: str, tags: tuple[str, ...]) -> None:
    frame = orange(videos, size, matrix, span, *tags)
    shown = render(frame, (80, 60), 0).getpixel((40, 30))
    assert isinstance(shown, tuple)
    assert near(shown, ORANGE, 3)


def test_ten_bits_and_more_colour(videos: Videos) -> None:
    frame = orange(videos, "160x120", "bt709", "tv", "-colorspace", "bt709", pixels="yuv422p10")
    shown = render(frame, (160, 120), 0).getpixel((80, 60))
    assert isinstance(shown, tuple)
    assert near(shown, ORANGE, 3)


@pytest.mark.parametrize("name", ["hdr", "hlg"])
def test_hdr_is_shown_in_the_range_of_sdr(videos: Videos, name: str) -> None:
    """Both are the test picture of the other videos, whose colours are taken for a bright display's."""
    picture = np.asarray(render(first(videos(name)), (160, 120), 0))
    assert picture.max() == 255
    assert 40 < picture.mean() < 200


@pytest.mark.parametrize("transfer", [PQ, HLG])
@given(levels=st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20))
def test_brighter_stays_brighter(transfer: int, levels: list[float]) -> None:
    grey = np.repeat(np.array(sorted(levels), np.float32)[None, :, None], 3, axis=2)
    shown = hdr_to_srgb(grey, transfer)
    assert 0 <= shown.min() <= shown.max() <= 1
    assert (np.diff(shown[0, :, 1]) >= -1e-4).all()
    assert np.abs(shown - shown[..., :1]).max() < 0.01


def test_white_paper_in_hdr_is_nearly_white_and_highlights_are_above_it() -> None:
    def level(code: float, transfer: int) -> float:
        return float(hdr_to_srgb(np.full((1, 1, 3), code, np.float32), transfer)[0, 0, 0])

    assert level(0, PQ) == level(0, HLG) == 0
    assert 0.8 < level(0.5807, PQ) < 0.95  # 203 cd/m²
    assert level(0.75, HLG) == pytest.approx(level(0.5807, PQ), abs=0.02)
    assert level(0.7518, PQ) == pytest.approx(1, abs=0.01)  # 1000 cd/m²
    assert level(1, HLG) == pytest.approx(1, abs=0.01)


def test_greys_of_a_wide_gamut_stay_as_they_are() -> None:
    grey = np.repeat(np.linspace(0, 1, 11, dtype=np.float32)[None, :, None], 3, axis=2)
    assert wide_to_srgb(grey) == pytest.approx(grey, abs=0.001)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_upright(videos: Videos, turn: int) -> None:
    frame = first(videos("mp4"))
    upright = np.asarray(render(frame, (160, 120), 0))
    assert (np.asarray(render(frame, (160, 120), turn)) == np.rot90(upright, -turn // 90)).all()


def test_the_first_field_of_interlaced_pictures(videos: Videos) -> None:
    """White moves within the frame: its lines alternate, a picture of one field has no comb."""
    path = videos.make(
        "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=50:duration=0.4,tinterlace=interleave_top",
        "-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-qscale:v", "2", ".ts",
    )  # fmt: skip
    with av.open(path) as container:
        frame = list(container.decode(video=0))[3]
    assert frame.interlaced_frame
    rows = np.asarray(render(frame, (160, 120), 0)).astype(int)
    raw = frame.to_ndarray(format="rgb24").astype(int)

    def comb(lines: np.ndarray[tuple[int, ...], np.dtype[np.int_]]) -> float:
        return float(np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean())

    assert comb(rows) < comb(raw) / 2


@given(
    st.integers(1, 8000), st.integers(1, 8000), st.integers(1, 64), st.integers(1, 64), st.integers(16, 4096)
)  # fmt: skip
def test_sizes(width: int, height: int, across: int, down: int, longest: int) -> None:
    size = square_size(width, height, (across, down), longest)
    assert 1 <= min(size) <= max(size) <= longest
    if min(size) > 50:
        assert size[0] / size[1] == pytest.approx(width * across / (height * down), rel=0.02)
    if across == down and max(width, height) <= longest:
        assert size == (width, height)


def test_pixels_that_are_wide_make_the_picture_wider() -> None:
    assert square_size(720, 576, (64, 45), 4000) == (1024, 576)
    assert square_size(720, 480, (8, 9), 4000) == (720, 540)
    assert square_size(3840, 2160, (1, 1), 1920) == (1920, 1080)
