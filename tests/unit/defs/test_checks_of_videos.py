"""Segments, frames and texts of videos: everything that may be wrong with them is found, in files that are really so."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from dagster import (
    AssetCheckEvaluation,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetSelection,
    DagsterInstance,
    Definitions,
    define_asset_job,
)

from lambdas.runtime.inspection import SegmentFacts, Source
from media_assets.defs.assets.steps import step_assets
from media_assets.defs.assets.uploads import uploads
from media_assets.defs.checks.frames import films_of, frames_are_sound, frames_belong_to_their_timecode, to_compare, unsound
from media_assets.defs.checks.media_info import media_info_is_complete, unaccounted
from media_assets.defs.checks.objects import heads_in
from media_assets.defs.checks.scope import Scope
from media_assets.defs.checks.segments import (
    Cut,
    cuts_of,
    not_adding_up,
    not_playing,
    out_of_sync,
    segments_add_up,
    segments_look_right,
    to_play,
)
from media_assets.defs.checks.texts import mismatched, texts_match_their_jobs
from media_assets.defs.resource import MediaResource
from media_assets.eventlog.events import item_erased, item_id_of
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings, get_settings
from tests.conftest import Database
from tests.unit.defs.conftest import evaluate, found
from tests.unit.defs.gallery import HOUR
from tests.unit.defs.owner import as_owner, damaged
from tests.unit.defs.screening import SHORT, Inspecting, Screening
from tests.unit.frames.counting import counting
from tests.unit.test_inspect import field_picture, late_sound
from tests.unit.videos import Videos


def the(*items: uuid.UUID, jobs: Sequence[uuid.UUID] = (), whole: bool = True) -> Scope:
    return Scope(list(items), [HOUR], whole=whole, job_ids=list(jobs))


def evaluate_both(instance: DagsterInstance) -> tuple[AssetCheckEvaluation, AssetCheckEvaluation]:
    """segments_play, segments_in_sync."""
    check: AssetChecksDefinition = segments_look_right
    job = define_asset_job("both", selection=AssetSelection.checks(check))
    defs = Definitions(assets=[uploads, *step_assets], asset_checks=[check], jobs=[job], resources={"media": MediaResource()})
    result = defs.resolve_job_def("both").execute_in_process(instance=instance)
    by_name = {each.check_name: each for each in result.get_asset_check_evaluations()}
    return by_name["segments_play"], by_name["segments_in_sync"]


# media_info


def test_what_probe_cant_have_measured_of_a_video_is_found(screening: Screening, database: Database) -> None:
    film = screening.film(b"film")
    settings = Settings(max_pixels=100, max_video_pixels=30_000, max_video_seconds=5)
    for damage, problem in {
        "UPDATE items SET width = 400": "400x120 accepted above 30000 pixels",
        "UPDATE items SET video = NULL": "a video of which duration or tracks aren't known",
        "UPDATE items SET duration_ms = NULL": "a video of which duration or tracks aren't known",
        "UPDATE items SET duration_ms = 5001": "5001 ms accepted above 5 seconds",
    }.items():
        with damaged(database, damage) as connection:
            assert unaccounted(connection, the(film), settings).problems == [f"{film}: {problem}"]


def test_a_video_may_have_more_pixels_than_a_picture(
    screening: Screening, instance: DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    screening.film(b"film")
    monkeypatch.setenv("MEDIA_MAX_PIXELS", "100")
    get_settings.cache_clear()
    assert evaluate(media_info_is_complete, instance).passed


# segments: what is recorded, and where it is


def test_segments_of_a_video_and_of_its_job_that_are_as_they_should_be_pass(
    screening: Screening, inspecting: Inspecting, instance: DagsterInstance, videos: Videos
) -> None:
    part = videos("mp4").read_bytes()
    film = screening.film(part)
    screening.cut(film, part, part)
    screening.cut(film, part, part, job=screening.job(film, seconds=2))
    assert found(evaluate(segments_add_up, instance)) == ""
    played, synced = evaluate_both(instance)
    assert (found(played), found(synced)) == ("", "")
    assert [each.metadata["checked"].value for each in (played, synced)] == [4, 4]
    assert (played.metadata["left_out"].value, len(inspecting.asked)) == (0, 1)


def test_every_sum_that_doesnt_add_up_is_found(screening: Screening, database: Database) -> None:
    film = screening.film(b"film")
    keys = screening.cut(film, b"one", b"two")
    head = heads_in(screening.s3, screening.bucket)
    for change, problems in {
        "start_ms = 2100 WHERE ordinal = 1": ["a gap before segment 1: it starts at 2100 ms, not at 2000 ms"],
        "start_ms = 1900 WHERE ordinal = 1": ["an overlap before segment 1: it starts at 1900 ms, not at 2000 ms"],
        "start_ms = 100 WHERE ordinal = 0": ["a gap before segment 0: it starts at 100 ms, not at 0 ms"],
        "end_ms = 3890 WHERE ordinal = 1": ["its segments end at 3890 ms, the video at 4000 ms"],
        "end_ms = 4103 WHERE ordinal = 1": ["its segments end at 4103 ms, the video at 4000 ms"],
        "start_ms = 4000 WHERE ordinal = 1": [
            "a gap before segment 1: it starts at 4000 ms, not at 2000 ms",
            "segment 1 ends where it starts, or before",
        ],
        "ordinal = 2 WHERE ordinal = 1": [
            "its segments are numbered [0, 2]",
            "segment 2 is stored under a key that isn't its own",
        ],
        "key = 'derived/nowhere/segment_001.mp4' WHERE ordinal = 1": [
            "segment 1 is stored under a key that isn't its own",
            "segment 1 is not in the bucket",
        ],
        "size_bytes = 4 WHERE ordinal = 0": ["segment 0 has 3 bytes, recorded are 4"],
        f"sha256 = repeat('0', 64) WHERE key = '{keys[0]}'": ["segment 0 has other bytes than were recorded"],
        "end_ms = 4090 WHERE ordinal = 1": [],
    }.items():
        with damaged(database, f"UPDATE segments SET {change}") as connection:
            scope = the(film)
            findings = not_adding_up(cuts_of(connection, scope), scope, head)
            assert findings.problems == [f"{film}: {problem}" for problem in problems]
    with damaged(database, "DELETE FROM segments") as connection:
        assert not_adding_up(cuts_of(connection, the(film)), the(film), head).problems == [f"{film}: it has no segments"]


def test_a_job_is_looked_at_by_its_own_id_and_folder(screening: Screening, database: Database) -> None:
    film = screening.film(b"film")
    job = screening.job(film, seconds=2)
    screening.cut(film, b"one", b"two", job=job)
    head = heads_in(screening.s3, screening.bucket)
    for damage, problem in {
        "UPDATE segments SET key = replace(key, 'processed', 'derived') WHERE ordinal = 0": (
            "segment 0 is stored under a key that isn't its own"
        ),
        "UPDATE jobs SET segments = 3": "the job tells of 3 segments, there are 2",
    }.items():
        with damaged(database, damage) as connection:
            scope = the(film, jobs=[job])
            assert f"{job}: {problem}" in not_adding_up(cuts_of(connection, scope), scope, head).problems


def test_the_check_of_sums_fails_for_an_object_that_is_gone(screening: Screening, instance: DagsterInstance) -> None:
    film = screening.film(b"film")
    _, second = screening.cut(film, b"one", b"two")
    screening.s3.delete_object(Bucket=screening.bucket, Key=second)
    evaluation = evaluate(segments_add_up, instance)
    assert (evaluation.passed, evaluation.severity) == (False, AssetCheckSeverity.ERROR)
    assert found(evaluation) == f"- {film}: segment 1 is not in the bucket"


# segments: what is in them

SOUND = SegmentFacts(
    key="b",
    problem=None,
    frames=20,
    duration_ms=2000,
    longest_frame_ms=100,
    begins_with_keyframe=True,
    faststart=True,
    video_codec="h264",
    pixel_format="yuv420p",
    audio_codec="aac",
    audio_offset_ms=0,
    audio_duration_ms=2000,
    audio_packet_ms=21.3,
)
FILM = uuid.uuid4()


def cut_of(*, sound: bool = True, variable: bool = False) -> Cut:
    """Into `a`, its first two seconds, and `b`, its last."""
    return Cut(
        work_id=FILM,
        job_id=None,
        item_id=FILM,
        source=Source(key="uploads/ada/film.mp4", version_id="v1", size_bytes=1),
        removed=False,
        duration_ms=4000,
        video=SHORT.model_copy(update={"variable_frame_rate": variable}).model_dump() | {"audio": [{}] if sound else []},
        told=None,
        segments=[
            {"ordinal": 0, "key": "a", "start_ms": 0, "end_ms": 2000},
            {"ordinal": 1, "key": "b", "start_ms": 2000, "end_ms": 4000},
        ],
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"problem": "it breaks off"}, "doesn't decode: it breaks off"),
        ({"begins_with_keyframe": False}, "doesn't begin with a keyframe"),
        ({"faststart": False}, "has its index at its end"),
        ({"video_codec": "hevc"}, "is hevc (yuv420p) with aac"),
        ({"pixel_format": "yuv420p10le"}, "is h264 (yuv420p10le) with aac"),
        ({"audio_codec": "opus"}, "is h264 (yuv420p) with opus"),
        ({"duration_ms": 1890.0}, "lasts 1890 ms, recorded are 2000 ms"),
        ({"duration_ms": 2110.0}, "lasts 2110 ms, recorded are 2000 ms"),
        ({"duration_ms": 1890.0, "longest_frame_ms": 500}, "lasts 1890 ms, recorded are 2000 ms"),
        ({"duration_ms": 1900.0}, None),
    ],
)
def test_a_segment_that_doesnt_play_as_it_should_is_found(changes: dict[str, object], problem: str | None) -> None:
    findings = not_playing([cut_of()], {"b": SOUND.model_copy(update=changes)})
    assert findings.problems == ([f"{FILM}: segment 1 {problem}"] if problem else [])


def test_where_frames_last_differently_a_segment_may_be_off_by_one_of_them() -> None:
    facts = {"b": SOUND.model_copy(update={"duration_ms": 1700.0, "longest_frame_ms": 300.0})}
    assert not_playing([cut_of(variable=True)], facts).problems == []


def test_sound_that_got_lost_is_found() -> None:
    silent = SOUND.model_copy(update={"audio_codec": None, "audio_offset_ms": None})
    assert not_playing([cut_of()], {"a": silent, "b": silent}).problems == [
        f"{FILM}: its segments have no sound, the video has"
    ]
    assert not_playing([cut_of()], {"a": SOUND, "b": silent}).problems == []  # it may end before the pictures do
    assert not_playing([cut_of(sound=False)], {"a": silent, "b": silent}).problems == []


@pytest.mark.parametrize(
    ("key", "offset_ms", "of_video_ms", "problem"),
    [
        ("b", 39.0, None, None),
        ("b", 41.0, 0.0, "the sound of segment 1 is 41 ms late"),
        ("b", -41.0, 0.0, "the sound of segment 1 is 41 ms early"),
        ("a", 500.0, 500.0, None),
        ("a", 500.0, 300.0, "the sound of segment 0 is 200 ms late"),
        ("a", -60.0, -60.0, None),
        ("b", -60.0, -60.0, "the sound of segment 1 is 60 ms early"),
        ("b", 500.0, 2500.0, None),
        ("b", 500.0, None, "the sound of segment 1 is 500 ms late"),
    ],
)
def test_sound_begins_where_it_does_in_the_video(
    key: str, offset_ms: float, of_video_ms: float | None, problem: str | None
) -> None:
    facts = {key: SOUND.model_copy(update={"audio_offset_ms": offset_ms})}
    findings = out_of_sync([cut_of()], facts, lambda source: of_video_ms)
    assert findings.problems == ([f"{FILM}: {problem}"] if problem else [])


def test_a_packet_of_sound_may_be_longer_than_what_is_allowed() -> None:
    facts = {"b": SOUND.model_copy(update={"audio_offset_ms": 120.0, "audio_packet_ms": 128.0})}
    assert out_of_sync([cut_of()], facts, lambda source: None).problems == []


def test_the_checks_fail_for_a_segment_that_breaks_off_and_for_sound_that_is_late(
    screening: Screening, inspecting: Inspecting, instance: DagsterInstance, videos: Videos
) -> None:
    part = videos("mp4").read_bytes()
    film = screening.film(part)
    screening.cut(film, late_sound(videos, 0.2).read_bytes(), part[: len(part) * 2 // 3])
    played, synced = evaluate_both(instance)
    assert (played.passed, played.severity, synced.passed) == (False, AssetCheckSeverity.ERROR, False)
    assert found(played).startswith(f"- {film}: segment 1 doesn't decode: it breaks off: ")
    assert found(synced).startswith(f"- {film}: the sound of segment 0 is ")
    assert found(synced).endswith(" ms late")
    assert [bool(request.source) for request in inspecting.asked] == [False, True]


def test_in_a_run_the_ends_of_each_video_are_played_first_and_a_dozen_at_most() -> None:
    cuts = [cut_of(), cut_of()]
    assert to_play(cuts, the(FILM)) == ["a", "b"]
    many = [{"ordinal": index, "key": f"{index}", "start_ms": index, "end_ms": index + 1} for index in range(30)]
    (long,) = (Cut(**{**vars(cuts[0]), "segments": many}),)
    assert to_play([long, cuts[0]], the(FILM, whole=False)) == ["0", "29", "a", "b", *map(str, range(1, 9))]
    assert len(to_play([long], the(FILM))) == 30


def test_a_function_that_doesnt_answer_is_a_warning(
    screening: Screening, inspecting: Inspecting, instance: DagsterInstance, videos: Videos
) -> None:
    film = screening.film(b"film")
    screening.cut(film, b"one", b"two")
    screening.shown(film, {0: field_picture(0)})
    inspecting.away = True
    for evaluation in (*evaluate_both(instance), evaluate(frames_belong_to_their_timecode, instance)):
        assert (evaluation.passed, evaluation.severity) == (False, AssetCheckSeverity.WARN)
        assert found(evaluation) == "- nobody could look: media-assets-local-inspect: ResourceNotFoundException"


# frames

PICTURES = {at * 100: field_picture(at) for at in (2, 13, 24)}


def test_frames_that_are_what_the_video_shows_pass(
    screening: Screening, inspecting: Inspecting, instance: DagsterInstance, videos: Videos
) -> None:
    film = screening.film(counting(videos, ".mp4").read_bytes(), sound=False, duration_ms=3000)
    screening.shown(film, PICTURES)
    evaluation = evaluate(frames_belong_to_their_timecode, instance)
    assert found(evaluation) == ""
    assert (evaluation.metadata["checked"].value, evaluation.metadata["left_out"].value) == (3, 0)
    assert found(evaluate(frames_are_sound, instance)) == ""


def test_frames_that_were_swapped_are_found(
    screening: Screening, inspecting: Inspecting, instance: DagsterInstance, videos: Videos
) -> None:
    film = screening.film(counting(videos, ".mp4").read_bytes(), sound=False, duration_ms=3000)
    screening.shown(film, {200: PICTURES[1300], 1300: PICTURES[200], 2400: PICTURES[2400]})
    evaluation = evaluate(frames_belong_to_their_timecode, instance)
    assert (evaluation.passed, evaluation.severity) == (False, AssetCheckSeverity.ERROR)
    problems = found(evaluation).splitlines()
    assert [line.partition(" isn't what the video shows then")[0] for line in problems] == [
        f"- {film}: its frame at {at} ms" for at in (200, 1300)
    ]


def test_every_frame_that_isnt_sound_is_found(screening: Screening, database: Database) -> None:
    film = screening.film(b"film")
    first, second, _ = screening.shown(film, PICTURES)
    poster, other = (item_id_of(screening.bucket, key) for key in (first, second))
    head = heads_in(screening.s3, screening.bucket)
    for damage, problems in {
        f"UPDATE items SET is_poster = true WHERE item_id = '{other}'": [
            "2 of its frames are its poster",
            "its frames at [1300] ms are no items, or others than was told",
            "it has frames at [1300] ms that nobody told of",
        ],
        f"UPDATE items SET is_poster = false WHERE item_id = '{poster}'": [
            "0 of its frames are its poster",
            "its frames at [200] ms are no items, or others than was told",
            "it has frames at [200] ms that nobody told of",
        ],
        f"UPDATE items SET timecode_ms = 4200 WHERE item_id = '{other}'": [
            "it lasts 4000 ms, and has frames at [4200] ms",
            "its frames at [1300] ms are no items, or others than was told",
            "it has frames at [4200] ms that nobody told of",
        ],
        f"DELETE FROM items WHERE item_id = '{other}'": ["its frames at [1300] ms are no items, or others than was told"],
    }.items():
        with damaged(database, damage) as connection:
            findings = unsound(films_of(connection, the(film)), the(film), head)
            assert findings.problems == [f"{film}: {problem}" for problem in problems]


def test_the_check_of_frames_fails_for_an_object_that_is_gone(screening: Screening, instance: DagsterInstance) -> None:
    film = screening.film(b"film")
    _, second, third = screening.shown(film, PICTURES)
    screening.s3.delete_object(Bucket=screening.bucket, Key=second)
    screening.s3.put_object(Bucket=screening.bucket, Key=third, Body=bytes(len(PICTURES[2400])))
    evaluation = evaluate(frames_are_sound, instance)
    assert (evaluation.passed, evaluation.severity) == (False, AssetCheckSeverity.ERROR)
    assert found(evaluation).splitlines() == [
        f"- {film}: its frame at 1300 ms is not in the bucket",
        f"- {film}: its frame at 2400 ms has other bytes than were recorded",
    ]


def test_a_frame_that_was_erased_is_not_missing(screening: Screening, database: Database, instance: DagsterInstance) -> None:
    film = screening.film(b"film")
    poster, *_ = screening.shown(film, PICTURES)
    erased = item_erased(item_id_of(screening.bucket, poster), reason="ada asked", user_id="ada", occurred_at=datetime.now(UTC))
    eraser = EventStore.connect(database.owner_url)
    eraser.erase([erased])
    eraser.engine.dispose()
    screening.s3.delete_object(Bucket=screening.bucket, Key=poster)
    assert found(evaluate(frames_are_sound, instance)) == ""


def test_in_a_run_frames_are_compared_all_over_some_videos(screening: Screening) -> None:
    items = [screening.film(b"film", f"{number}.mp4") for number in range(5)]
    for item in items:
        screening.shown(item, dict.fromkeys(range(0, 1200, 100), b"picture"))
    with screening.store.engine.connect() as connection:
        films = films_of(connection, the(*items))
    chosen = to_compare(films, the(*items, whole=False))
    assert [len(frames) for frames in chosen.values()] == [6] * 4
    assert [frame.timecode_ms for frame in chosen[films[0].item_id]] == [0, 200, 400, 600, 800, 1000]
    assert sum(map(len, to_compare(films, the(*items)).values())) == 60


# texts


def test_texts_that_are_one_a_segment_pass(screening: Screening, instance: DagsterInstance) -> None:
    film = screening.film(b"film")
    job = screening.varied(film, "Ride 0", "Ride 1")
    screening.cut(film, b"one", b"two", job=job, text="Ride")
    evaluation = evaluate(texts_match_their_jobs, instance)
    assert (found(evaluation), evaluation.metadata["checked"].value) == ("", 1)


def test_texts_that_dont_match_their_job_are_found(screening: Screening, instance: DagsterInstance, database: Database) -> None:
    film = screening.film(b"film")
    job = screening.varied(film, "Ride 0", "Ride 1")
    screening.cut(film, b"one", b"two", job=job, text="Ride")
    for damage, problem in {
        """UPDATE jobs SET texts = '["Ride 0", "Ride 1", "Ride 2"]'""": "3 texts for 2 segments",
        """UPDATE jobs SET texts = '["Ride 0", "Ride 1"]'::jsonb - 0""": "1 texts for 2 segments",
        """UPDATE segments SET text = 'Walk!' WHERE ordinal = 1""": "1 segments have a text that isn't one of the job's",
    }.items():
        with damaged(database, damage) as connection:
            assert f"{job}: {problem}" in mismatched(connection, the(film, jobs=[job])).problems
    as_owner(database, """UPDATE jobs SET texts = '["Ride 0", "Ride 1", " "]'""")
    evaluation = evaluate(texts_match_their_jobs, instance)
    assert (evaluation.passed, evaluation.severity) == (False, AssetCheckSeverity.ERROR)
    assert found(evaluation).splitlines() == [f"- {job}: 3 texts for 2 segments", f"- {job}: a text is blank"]
