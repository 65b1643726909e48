"""A video is erased with its frames and its jobs, in one go; a frame may go alone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from itertools import count
from threading import Thread

import pytest

from media_assets.eventlog.errors import StreamClosedError
from media_assets.eventlog.events import item_stream, job_stream
from media_assets.eventlog.incarnations import erased_items, receive_uploads
from media_assets.eventlog.items import ItemErasedError, ItemNotFoundError, resolve
from media_assets.eventlog.replay import verify_replay
from tests.conftest import Database
from tests.unit.erasure.conftest import Album
from tests.unit.eventlog.films import Film, Job, frame_done
from tests.unit.eventlog.lives import Life, rows

KEY = "uploads/ada/bikes.mp4"


@dataclass(frozen=True)
class Screened:
    """A video in the bucket with all that was made of it, as the log knows it."""

    film: Film
    version: str
    frames: tuple[Life, Life]
    job: Job

    def work_ids(self) -> list[uuid.UUID]:
        return [self.film.item_id, *(frame.item_id for frame in self.frames), self.job.job_id]


def screened(album: Album, key: str = KEY) -> Screened:
    film = Film(key, bucket=album.bucket)
    version = album.put(key)
    job = Job(film, version=version)
    receive_uploads(album.store, [album.told(version, key)])
    album.store.append([film.probed(version), film.extracted(version), film.segmented(version)])
    for time in (480, 4000):
        frame = film.frame(time, version)
        object_version = album.put(frame.key)
        album.store.append([*film.frames_received(version, times=(time,), object_version=object_version)])
        album.store.append(frame_done(frame, object_version))
        album.put(f"derived/{frame.item_id}/thumbnail/r1/{object_version}/0/256.webp")
    album.store.append(job.done())
    album.put(f"derived/{film.item_id}/segment/r1/{version}/0/segment_000.mp4")
    album.put(f"processed/{job.job_id}/segment_000.mp4")
    return Screened(film, version, (film.frame(480, version), film.frame(4000, version)), job)


def test_a_video_goes_with_its_frames_its_segments_and_its_jobs_and_nothing_else_does(album: Album) -> None:
    bikes, other = screened(album), screened(album, "uploads/ada/bunny.mp4")
    cat = album.gallery.done("cat.jpg")
    sheet, of_cat = album.show(bikes.frames[0].item_id, cat), album.show(cat)
    kept = {work: album.rows_of(work) for work in other.work_ids()}

    erasure = album.erase(KEY)

    for work in bikes.work_ids():
        assert album.rows_of(work) == {}
    for stream in [*(item_stream(each) for each in bikes.work_ids()[:3]), job_stream(bikes.job.job_id)]:
        assert {event.payload.type for event in album.store.stream(stream)} == {"PayloadErased", "ItemErased"}
    for prefix in (f"derived/{bikes.film.item_id}/", *(f"derived/{f.item_id}/" for f in bikes.frames), KEY):
        assert album.objects(prefix) == []
    assert album.objects("processed/") == [f"processed/{other.job.job_id}/segment_000.mp4"]
    assert album.objects("previews/") == [of_cat] != [sheet]
    assert {work: album.rows_of(work) for work in other.work_ids()} == kept
    assert len(album.objects(f"derived/{other.film.item_id}/")) == 3

    removed = erasure.removed
    # an upload, a probe, frames, segments; two frames with five events each; a job with five
    assert (removed["payloads"], removed["vectors"], removed["rows"]["items"], removed["rows"]["jobs"]) == (19, 2, 3, 1)
    assert (removed["object_versions"], removed["derived_objects"], removed["contact_sheets"]) == (1, 6, 1)
    assert (len(erasure.frame_ids), erasure.job_ids) == (2, (bikes.job.job_id,))
    assert (erasure.receipt()["frames"], erasure.receipt()["jobs"]) == (2, 1)


def test_the_second_sweep_waits_for_what_a_video_takes_and_takes_what_frames_and_jobs_were_writing(
    album: Album, database: Database
) -> None:
    bikes = screened(album)
    erasure = album.erase(KEY)
    album.put(f"processed/{bikes.job.job_id}/segment_001.mp4")
    album.put(f"derived/{bikes.frames[1].item_id}/thumbnail/r1/v/0/800.webp")
    assert album.eraser.sweep(bikes.film.item_id).sweep_at == erasure.erased_at + album.longest
    last = album.second_sweep(bikes.film.item_id)
    assert (album.objects(), last.complete) == ([], True)
    assert verify_replay(database.owner_url).identical


def test_whoever_asks_for_a_part_of_an_erased_video_hears_of_its_erasure(album: Album) -> None:
    bikes = screened(album)
    erasure = album.erase(KEY)
    for work in bikes.work_ids():
        assert album.eraser.find(str(work)) == (bikes.film.item_id, None)
        assert album.eraser.erase(album.eraser.find(str(work)), reason="again") == (erasure, False)
    with album.store.engine.connect() as connection:
        assert erased_items(connection, [*bikes.work_ids(), uuid.uuid4()]) == set(bikes.work_ids())
        for frame in bikes.frames:
            with pytest.raises(ItemErasedError):
                resolve(connection, str(frame.item_id))
            with pytest.raises(ItemErasedError):
                resolve(connection, frame.key, album.bucket)
    with pytest.raises(ItemNotFoundError):
        album.eraser.find(str(uuid.uuid4()))


@pytest.mark.parametrize("named", ["id", "key", "address"])
def test_a_frame_is_erased_alone_with_every_version_of_its_object(album: Album, named: str) -> None:
    bikes = screened(album)
    frame, other = bikes.frames
    album.put(frame.key, b"written again by an attempt that nobody heard of")
    reference = {"id": str(frame.item_id), "key": frame.key, "address": f"s3://{album.bucket}/{frame.key}"}[named]
    rest = {work: album.rows_of(work) for work in (bikes.film.item_id, other.item_id, bikes.job.job_id)}

    erasure = album.erase(reference)

    assert album.nothing_is_left_of(frame.item_id, frame.key)
    assert {work: album.rows_of(work) for work in rest} == rest
    assert (erasure.removed["payloads"], erasure.removed["object_versions"], erasure.removed["derived_objects"]) == (5, 2, 1)
    assert album.objects(other.key) == [other.key]
    assert album.objects(KEY) == [KEY]

    album.erase(KEY)
    assert album.rows_of(bikes.film.item_id) == album.rows_of(other.item_id) == {}
    assert album.second_sweep(frame.item_id).complete


def test_everything_of_a_user_counts_frames_with_their_videos(album: Album) -> None:
    bikes, cat = screened(album), album.gallery.done("cat.jpg")
    assert [target.item_id for target in album.eraser.of_user("ada")] == [bikes.film.item_id, cat]
    for target in album.eraser.of_user("ada"):
        erasure, is_new = album.eraser.erase(target, reason="leaves")
        assert is_new
        album.eraser.sweep(erasure.item_id)
    assert album.eraser.of_user("ada") == []
    assert [target.item_id for target in album.eraser.erased_of_user("ada")] == [bikes.film.item_id, cat]
    assert album.objects() == []


def test_the_key_of_an_erased_video_becomes_another_video_with_frames_of_its_own(album: Album) -> None:
    bikes = screened(album)
    album.erase(KEY)
    version = album.put(KEY)
    [again] = receive_uploads(album.store, [album.told(version, KEY)])
    film = Film(KEY, incarnation=1, bucket=album.bucket)
    assert again.item_id == film.item_id != bikes.film.item_id
    album.store.append([film.probed(version), *film.watched(version), *Job(film, version=version).done()])
    album.second_sweep(bikes.film.item_id)
    assert album.rows_of(film.frame(480, version).item_id) == {"uploads": 1, "steps": 1, "items": 1}
    assert album.objects(KEY) == [KEY]


def test_a_job_that_is_submitted_while_its_video_is_erased_is_erased_or_refused(album: Album) -> None:
    bikes = screened(album)
    target = album.eraser.find(KEY)
    eraser = Thread(target=lambda: album.eraser.erase(target, reason="now"))

    def submit_one_after_the_other() -> None:
        for number in count():
            album.store.append([Job(bikes.film, f"late-{number}", bikes.version).submitted()])

    eraser.start()
    with pytest.raises(StreamClosedError):
        submit_one_after_the_other()
    eraser.join()
    assert rows(album.store, "SELECT FROM jobs") == []
    assert {row["type"] for row in rows(album.store, "SELECT type FROM told WHERE job_id IS NOT NULL")} == {"ItemErased"}
