"""Videos dropped into S3 come out as moments that search finds and segments that play; jobs cut them as people ask, also
when a task is killed in the midst of it."""

from __future__ import annotations

import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import psutil
import pytest

from tests.e2e.conftest import SAMPLES, RunningStack
from tests.e2e.test_erasure import objects
from tests.e2e.test_kills import tasks_of
from tests.unit.videos import Videos

pytestmark = pytest.mark.timeout(600)

USER = "grace"
WORDS = "Grüße aus Kyōto – 京都"
SECONDS, RATE = 20, 20
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


@dataclass(frozen=True)
class Studio:
    """What became of a folder of videos, by file name, and of two jobs on one film at once. `written`, which encodes on ECS,
    lost its task in the midst of it; `copied` cuts at keyframes. `left` are processes and folders of that task."""

    uploads: dict[str, dict[str, Any]]
    film: str
    written: dict[str, Any]
    copied: dict[str, Any]
    left: list[psutil.Process | Path]


@pytest.fixture(scope="module")
def studio(running: RunningStack, videos: Videos, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    folder = tmp_path_factory.mktemp("videos")
    bunny = (SAMPLES / "bigbuckbunny.mp4").read_bytes()
    (folder / "bunny.mp4").write_bytes(bunny)
    (folder / "cut off.mp4").write_bytes(bunny[: len(bunny) // 2])
    (folder / "playlist.mp4").write_text(PLAYLIST)
    film = f"uploads/{USER}/film.mp4"
    running.put(film, long_film(videos).read_bytes())
    with ThreadPoolExecutor() as pool:
        uploading = pool.submit(running.json, "upload", folder, "--user", USER, "--wait", expect=1)
        running.eventually(lambda: running.sql("SELECT 1 FROM items WHERE key = %s AND kind = 'video'", film))
        written = running.json("segment", film, "--fixed", "8", "--text", WORDS, "--detach")["job_id"]
        copied = running.json("segment", film, "--random", "3", "6", "--seed", "x", "--detach")["job_id"]
        left = kill_the_task_in_mid_encode(running, written)
        running.eventually(lambda: nothing_is_pending(running, film), seconds=240)
    return Studio(
        {Path(each["path"]).name: each for each in uploading.result()},
        film,
        running.json("job", written),
        running.json("job", copied),
        left,
    )


def nothing_is_pending(running: RunningStack, video: str) -> bool:
    """Of the video, of its frames, and of jobs about it."""
    query = """
        WITH video AS (SELECT item_id FROM items WHERE key = %s)
        SELECT 1 FROM steps WHERE state = 'pending' AND item_id IN (
            SELECT item_id FROM video UNION SELECT i.item_id FROM items i JOIN video v ON i.parent_item_id = v.item_id
            UNION SELECT job_id FROM jobs JOIN video USING (item_id))
    """
    return not running.sql(query, video)


def long_film(videos: Videos) -> Path:
    """1920 × 1080 with sound, a keyframe each second. Encoding it anew takes ten seconds."""
    picture = f"testsrc2=size=1920x1080:rate={RATE}:duration=4"
    short = videos.make(
        *("-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
        *("-g", str(RATE), ".mp4"),
    )
    sound = f"sine=frequency=440:sample_rate=48000:duration={SECONDS}"
    return videos.make(
        *("-stream_loop", str(SECONDS // 4 - 1), "-i", str(short), "-f", "lavfi", "-i", sound),
        *("-c:v", "copy", "-c:a", "aac", "-movflags", "+faststart", ".mp4"),
    )


def kill_the_task_in_mid_encode(running: RunningStack, job_id: str) -> list[psutil.Process | Path]:
    """SIGKILL, once ffmpeg is at work and the log knows of it. Returns what there was of the task."""

    def encoding() -> tuple[psutil.Process, list[psutil.Process]] | None:
        for task in tasks_of(running):
            with suppress(psutil.Error):
                if children := [child for child in task.children(recursive=True) if "ffmpeg" in child.name()]:
                    return task, children
        return None

    def progress() -> int:
        [(percent,)] = running.sql("SELECT progress FROM jobs WHERE job_id = %s", job_id)
        return int(percent)

    running.eventually(lambda: 0 < progress() < 90)
    task, children = running.eventually(encoding)
    [scratch] = Path(task.environ()["TMPDIR"]).glob("media-assets-scratch-*/*")
    task.kill()
    assert progress() < 90
    return [task, *children, scratch]


def test_a_video_alone_gives_a_poster_moments_and_segments(running: RunningStack, studio: Studio) -> None:
    bunny = running.json("show", studio.uploads["bunny.mp4"]["item_id"])

    assert (bunny["kind"], bunny["state"], bunny["width"], bunny["height"]) == ("video", "done", 1280, 720)
    assert 5_000 < bunny["video"]["duration_ms"] < 5_500
    assert [frame["is_poster"] for frame in bunny["video"]["frames"]].count(True) == 1
    for frame in bunny["video"]["frames"]:
        shown = running.json("show", frame["item_id"])
        assert (shown["kind"], shown["state"], shown["parent"]["key"]) == ("frame", "done", bunny["key"])
        assert len(shown["thumbnails"]) == 3
        assert shown["analysis"]["summary"]
        assert shown["embedding"]["dimensions"] == 384
        assert shown["detections"] is not None
    [segment] = bunny["video"]["segments"]  # shorter than the ten seconds of a default one
    assert segment["key"].startswith(f"derived/{bunny['item_id']}/segment/")
    assert_plays(running, segment, rate=bunny["video"]["frame_rate"], height=720)


def test_search_finds_a_moment(running: RunningStack, studio: Studio) -> None:
    key = str(studio.uploads["bunny.mp4"]["key"])
    query = """SELECT f.item_id, f.timecode_ms, a.summary FROM items v JOIN items f ON f.parent_item_id = v.item_id
        JOIN analyses a ON a.item_id = f.item_id WHERE v.key = %s AND f.is_poster AND f.state = 'done'"""
    [(poster, timecode_ms, summary)] = running.sql(query, key)

    hits = running.json("search", summary, "--limit", "5")

    [moment] = [hit for hit in hits if hit["item_id"] == str(poster)]
    assert (moment["parent_key"], moment["timecode_ms"]) == (key, timecode_ms)
    assert moment["score"] > 0.9
    assert f"in {key} at 0:{timecode_ms // 1000:02}" in running.cli("search", summary, "--limit", "5").stdout


def test_what_is_no_video_says_why(studio: Studio) -> None:
    assert {name: (each["state"], each["code"]) for name, each in studio.uploads.items()} == {
        "bunny.mp4": ("done", None),
        "cut off.mp4": ("rejected", "truncated"),
        "playlist.mp4": ("rejected", "unsupported_format"),
    }
    assert "a playlist (HLS)" in studio.uploads["playlist.mp4"]["message"]


def test_a_job_whose_task_was_killed_ends_as_planned_and_once(running: RunningStack, studio: Studio) -> None:
    job = studio.written
    assert (job["state"], job["progress"], job["error"]) == ("completed", 100, None)
    assert [(each["start_ms"], each["end_ms"], each["text"]) for each in job["segments"]] == [
        (0, 8_000, WORDS),
        (8_000, 16_000, WORDS),
        (16_000, 20_000, WORDS),
    ]
    folder = f"processed/{job['job_id']}/"
    assert [each["key"] for each in job["segments"]] == [f"{folder}segment_{index:03d}.mp4" for index in range(3)]
    assert Counter(version["Key"] for version in objects(running, folder)) == Counter(
        [*(each["key"] for each in job["segments"]), f"{folder}result.json"]
    )
    for segment in job["segments"]:
        assert_plays(running, segment, rate=RATE, height=1080)

    told = running.json("events", f"job-{job['job_id']}")
    counts = Counter(event["type"] for event in told)
    assert [event["type"] for event in told][:: len(told) - 1] == ["JobSubmitted", "JobCompleted"]
    assert counts["JobStarted"] >= 2
    assert counts["JobProgressed"] >= 2
    assert counts["VideoSegmented"] == 1
    [segmented] = [event for event in told if event["type"] == "VideoSegmented"]
    assert (segmented["target"], segmented["target_reason"]) == ("ecs", "long_work")
    running.eventually(lambda: not any(map(still_there, studio.left)), seconds=20)
    assert tasks_of(running) == []


def test_two_jobs_on_one_video_dont_collide(running: RunningStack, studio: Studio) -> None:
    job, film = studio.copied, running.json("show", studio.film)
    assert job["state"] == "completed"
    assert {Path(each["key"]).parent.name for each in job["segments"]} == {job["job_id"]}
    assert sum(each["end_ms"] - each["start_ms"] for each in job["segments"]) == film["video"]["duration_ms"] == SECONDS * 1000
    assert len(job["segments"]) > 3
    assert_plays(running, job["segments"][1], rate=RATE, height=1080)
    assert len(film["video"]["segments"]) == 2  # its default ones, of ten seconds
    assert {each["job_id"] for each in film["video"]["jobs"]} == {job["job_id"], studio.written["job_id"]}
    told = {event["type"]: event for event in running.json("events", f"job-{job['job_id']}")}
    assert told["VideoSegmented"]["target"] == "lambda"


def test_the_ui_shows_frames_and_segments(running: RunningStack, studio: Studio) -> None:
    frames, segments = (figures(running, asset) for asset in ("video_frames", "video_segments"))

    assert sum(each.get("frames", 0) for each in frames) >= 2
    assert sum(each.get("videos", 0) for each in frames) >= 2
    assert sum(each.get("segments", 0) for each in segments) >= 3 + len(studio.copied["segments"])
    assert sum(each.get("jobs_completed", 0) for each in segments) >= 2
    modes = " ".join(each.get("modes", "") for each in segments)
    assert "copied" in modes
    assert "encoded" in modes
    for made, shown in ((frames, "frames"), (segments, "segments")):
        newest = next(each for each in made if each["processed"])
        address = newest["contact_sheet"].removeprefix("![contact sheet](").removesuffix(")")
        bucket, key = address.removeprefix(running.environment["AWS_ENDPOINT_URL"] + "/").split("/", 1)
        assert key.startswith(f"previews/{shown}/")  # not frames in place of segments
        assert running.s3().head_object(Bucket=bucket, Key=key)["ContentType"] == "image/jpeg"


def test_every_check_passes(running: RunningStack, studio: Studio) -> None:
    wanted = {"frames_are_sound", "frames_belong_to_their_timecode", "segments_add_up", "segments_play", "segments_in_sync"}
    running.eventually(lambda: wanted <= running.checks().keys())
    assert all(running.checks().values()), running.checks()


def test_erasing_a_video_erases_its_frames_and_segments(running: RunningStack, studio: Studio) -> None:
    film = running.json("show", studio.film)
    frames = [frame["item_id"] for frame in film["video"]["frames"]]
    jobs = [studio.written["job_id"], studio.copied["job_id"]]
    folders = [
        *(f"derived/{item_id}/" for item_id in (film["item_id"], *frames)),
        *(f"processed/{job_id}/" for job_id in jobs),
    ]
    assert frames
    assert all(objects(running, folder) for folder in folders)

    [receipt] = running.json("erase", studio.film, "--yes")

    assert receipt["removed"]["contact_sheets"] >= 1
    assert [objects(running, prefix) for prefix in (studio.film, *folders)] == [[]] * (1 + len(folders))
    ids = [film["item_id"], *frames, *jobs]
    for table, column in {"items": "item_id", "jobs": "job_id", "segments": "work_id", "steps": "item_id"}.items():
        assert running.sql(f"SELECT 1 FROM {table} WHERE {column} = ANY(%s::uuid[])", ids) == []
    for table in ("uploads", "thumbnails", "analyses", "embeddings", "detections"):
        assert running.sql(f"SELECT 1 FROM {table} WHERE item_id = ANY(%s::uuid[])", ids) == []


def test_the_log_is_whole(running: RunningStack, studio: Studio) -> None:
    assert running.json("replay", "--verify")["identical"]
    assert running.json("verify")["intact"]


def assert_plays(running: RunningStack, segment: dict[str, Any], *, rate: float, height: int) -> None:
    """In a browser: H.264 and AAC in an MP4 whose index comes first; from its first frame, a keyframe, to its last."""
    stored = running.s3().get_object(Bucket=running.environment["MEDIA_BUCKET"], Key=segment["key"])
    body = stored["Body"].read()
    assert stored["ContentType"] == "video/mp4"
    assert 0 < body.index(b"moov") < body.index(b"mdat")
    with av.open(io.BytesIO(body), format="mp4") as container:
        [video], [audio] = container.streams.video, container.streams.audio
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert video.codec_context.height == height
        pictures = list(container.decode(video))
    assert pictures[0].key_frame
    wanted = (segment["end_ms"] - segment["start_ms"]) / 1000 * rate
    assert abs(len(pictures) - wanted) <= 1.01


def figures(running: RunningStack, asset: str) -> list[dict[str, Any]]:
    """What the asset's materializations say."""
    answer = running.graphql(
        f'{{ assetOrError(assetKey: {{path: ["{asset}"]}}) {{ ... on Asset {{ assetMaterializations(limit: 50) {{'
        " metadataEntries { label ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text }"
        " ... on MarkdownMetadataEntry { mdStr } } } } } }"
    )
    return [
        {
            entry["label"]: next((entry[kind] for kind in ("intValue", "text", "mdStr") if kind in entry), None)
            for entry in each["metadataEntries"]
        }
        for each in answer["assetOrError"]["assetMaterializations"]
    ]


def still_there(each: psutil.Process | Path) -> bool:
    if isinstance(each, Path):
        return each.exists()
    with suppress(psutil.NoSuchProcess):
        return each.is_running() and each.status() != psutil.STATUS_ZOMBIE
    return False
