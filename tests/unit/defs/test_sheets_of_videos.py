"""Contact sheets of videos: frames with their times, segments with their texts."""

from __future__ import annotations

import io
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta

from PIL import Image
from sqlalchemy import text

from media_assets.defs.contact_sheet import FRAMES, SEGMENTS, Look, Style, compose, contact_sheet
from media_assets.defs.sheet_pictures import frames, segments
from tests.unit.defs.cinema import Cinema
from tests.unit.defs.gallery import EARLIER, HOUR

BASE = "http://127.0.0.1:4566/photos"


def sheet_of(cinema: Cinema, style: Style, *ids: uuid.UUID, look: Look | None = None) -> str:
    """A sheet's key."""
    value = contact_sheet(cinema.s3, cinema.store.engine, cinema.bucket, BASE, ids, HOUR, style=style, look=look)
    assert value is not None
    found = re.fullmatch(rf"!\[contact sheet\]\({re.escape(BASE)}/(.+)\)", str(value.value))
    assert found, value.value
    return found[1]


def recorded(cinema: Cinema, key: str) -> set[uuid.UUID]:
    with cinema.store.engine.connect() as connection:
        ids = connection.execute(text("SELECT item_ids FROM contact_sheets WHERE key = :key"), {"key": key}).scalar_one()
    return set(ids)


def captions(cinema: Cinema, style: Style, *ids: uuid.UUID, most: int = 24) -> list[tuple[str, ...]]:
    with cinema.store.engine.connect() as connection:
        return [picture.captions for picture in style.choose(connection, ids, HOUR, most, style.cell_px)]


def test_frames_are_in_order_with_their_times_and_the_poster_says_so(cinema: Cinema) -> None:
    video = cinema.video()
    cinema.framed(video, 480, 4000, 9960)
    assert captions(cinema, FRAMES, video) == [("0:00",), ("0:04",), ("0:09 · poster",)]


def test_a_video_with_many_frames_leaves_room_for_another(cinema: Cinema) -> None:
    long, short = cinema.video("long.mp4"), cinema.video("short.mp4")
    cinema.framed(long, 1000, 2000, 3000, 4000, 5000)
    cinema.framed(short, 6000)
    assert sorted(captions(cinema, FRAMES, long, short, most=3)) == [("0:01",), ("0:05 · poster",), ("0:06 · poster",)]


def test_a_sheet_of_frames_goes_with_the_video_and_with_any_of_its_frames(cinema: Cinema) -> None:
    video = cinema.video()
    items = cinema.framed(video, 480, 4000)
    key = sheet_of(cinema, FRAMES, video)
    assert recorded(cinema, key) == {video, *items}
    assert sheet_of(cinema, FRAMES) == key  # the hour's
    body = cinema.s3.get_object(Bucket=cinema.bucket, Key=key)["Body"].read()
    with Image.open(io.BytesIO(body)) as sheet:
        assert sheet.size == (2 * 184 + 8, 75 + 17 + 2 * 8)  # 640 × 272 on 176 pixels, and a line
        greys = [sheet.getpixel((8 + column * 184 + 88, 8 + 37)) for column in range(2)]
    assert [abs(grey[0] - wanted) <= 3 for grey, wanted in zip(greys, (12, 102), strict=True)] == [True, True]  # type: ignore[index]


def test_frames_of_a_removed_video_are_on_no_sheet(cinema: Cinema) -> None:
    video = cinema.video()
    cinema.framed(video, 480)
    cinema.removed(video)
    assert captions(cinema, FRAMES, video) == []


def test_the_frame_nearest_to_a_segments_beginning_stands_in_for_it_one_of_its_own_if_it_can(cinema: Cinema) -> None:
    video = cinema.video()
    first, second = cinema.framed(video, 4900, 6500)
    cinema.segmented(video, 2000, 5000, 10_000)
    with cinema.store.engine.connect() as connection:
        pictures = segments(connection, [video], HOUR, 24, 176)
        shown = {picture.key: picture.shows for picture in frames(connection, [video], HOUR, 24, 176)}
    assert [shown[picture.key][0] for picture in pictures] == [first, first, second]
    assert [picture.captions for picture in pictures] == [("#0 · 0:00 – 0:02",), ("#1 · 0:02 – 0:05",), ("#2 · 0:05 – 0:10",)]


def test_what_a_job_wrote_stands_below_its_segments(cinema: Cinema) -> None:
    video = cinema.video()
    frames_of_it = cinema.framed(video, 480)
    job = cinema.job(video, text="Summer")
    cinema.segmented(video, 10_000)
    cinema.segmented(video, 5000, 10_000, job=job, texts=("Summer", "Sommer – 夏"))
    assert captions(cinema, SEGMENTS, job) == [("#0 · 0:00 – 0:05", "Summer"), ("#1 · 0:05 – 0:10", "Sommer – 夏")]
    key = sheet_of(cinema, SEGMENTS, job)
    assert recorded(cinema, key) == {job, video, *frames_of_it}
    assert sheet_of(cinema, SEGMENTS, video) != key


def opened(cinema: Cinema, key: str) -> Image.Image:
    body = cinema.s3.get_object(Bucket=cinema.bucket, Key=key)["Body"].read()
    return Image.open(io.BytesIO(body))


def test_segments_are_shown_themselves_and_what_stands_in_says_so(cinema: Cinema) -> None:
    video = cinema.video()
    cinema.framed(video, 480)
    first, second, third = (segment.key for segment in cinema.segmented(video, 2000, 5000, 10_000))
    asked = []

    def look(keys: Sequence[str], side_px: int) -> Mapping[str, Image.Image | None]:
        asked.append((*keys, side_px))
        return {first: Image.new("RGB", (176, 75), "red"), second: None}

    sheet = opened(cinema, sheet_of(cinema, SEGMENTS, video, look=look))
    assert asked == [(first, second, third, 176)]
    assert sheet.size == (3 * 184 + 8, 99 + 2 * 17 + 2 * 8)
    colours = [sheet.getpixel((8 + column * 184 + 88, 8 + 60)) for column in range(3)]
    wanted = [(254, 0, 0), (214, 211, 209), (12, 12, 12)]  # itself, blank, the frame of the video
    assert all(abs(a - b) <= 3 for colour, want in zip(colours, wanted, strict=True) for a, b in zip(colour, want, strict=True))  # type: ignore[arg-type]
    said = [has_ink(sheet, column, line=1) for column in range(3)]
    assert said == [False, True, True]


def has_ink(sheet: Image.Image, column: int, *, line: int) -> bool:
    """Whether something is written there, below a row of pictures of 99 pixels."""
    left, top = 8 + column * 184, 8 + 99 + line * 17
    darkest, _ = sheet.convert("L").crop((left, top, left + 176, top + 17)).getextrema()
    return darkest < 128  # type: ignore[operator]


def test_a_sheet_of_stand_ins_is_shown_only_until_somebody_looks(cinema: Cinema) -> None:
    video = cinema.video()
    cinema.framed(video, 480)
    (segment,) = cinema.segmented(video, 10_000)
    nobody = sheet_of(cinema, SEGMENTS, video, look=lambda keys, side_px: {})
    seen = sheet_of(cinema, SEGMENTS, video, look=lambda keys, side_px: {segment.key: Image.new("RGB", (176, 75), "red")})
    assert nobody.startswith("previews/stand-ins/")
    assert seen.startswith("previews/segments/")
    assert sheet_of(cinema, SEGMENTS, video, look=lambda keys, side_px: {}) == seen
    assert recorded(cinema, seen) == recorded(cinema, nobody)


def test_a_segment_without_any_frame_is_a_blank_cell(cinema: Cinema) -> None:
    video = cinema.video()
    cinema.segmented(video, 10_000)
    assert recorded(cinema, sheet_of(cinema, SEGMENTS, video)) == {video}


def test_other_hours_are_on_sheets_of_their_own(cinema: Cinema) -> None:
    cinema.framed(cinema.video("old.mp4", EARLIER), 480, hour=EARLIER)
    with cinema.store.engine.connect() as connection:
        assert len(frames(connection, [], EARLIER, 24, 176)) == 1
        assert frames(connection, [], EARLIER + timedelta(hours=1), 24, 176) == []


def test_a_caption_is_cut_to_its_cell() -> None:
    """Nothing of it is over the next picture."""
    pictures = [Image.new("RGB", (176, 100), "red")] * 2
    short, long = (compose(pictures, FRAMES, [(words,), ()]) for words in ("0:04", "a long story " * 20))
    assert short.size == long.size == (2 * 184 + 8, 100 + 17 + 2 * 8)
    right_of_the_first = (8 + 176, 0, 2 * 184 + 8, long.height)
    assert short.crop(right_of_the_first).tobytes() == long.crop(right_of_the_first).tobytes()
    assert short.tobytes() != long.tobytes()
