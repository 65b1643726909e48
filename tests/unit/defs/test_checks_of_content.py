"""What the steps left behind: measurements, thumbnails, analyses, vectors; and everything that may be wrong with them."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from dagster import AssetCheckSeverity, DagsterInstance
from PIL import Image

from media_assets.defs.checks.analyses import analyses_match_schema, malformed
from media_assets.defs.checks.detections import detections_are_sound, implausible
from media_assets.defs.checks.embeddings import embeddings_are_sound, unsound
from media_assets.defs.checks.media_info import media_info_is_complete, unaccounted
from media_assets.defs.checks.scope import Scope
from media_assets.defs.checks.thumbnails import incomplete, thumbnails_are_complete
from media_assets.eventlog.catalogue import Detection, Thumbnail
from media_assets.settings import Settings, get_settings
from tests.conftest import Database
from tests.unit.defs.conftest import evaluate, found
from tests.unit.defs.gallery import CAT, HOUR, Gallery, webp
from tests.unit.defs.owner import as_owner, damaged


def the(*items: uuid.UUID) -> Scope:
    return Scope(list(items), [HOUR], whole=True)


# media_info


def test_what_probe_cant_have_measured_is_found(gallery: Gallery, database: Database) -> None:
    item = gallery.upload()
    gallery.probed(item)
    for damage, problem in {
        "UPDATE items SET kind = NULL": "neither measured nor rejected",
        "UPDATE items SET width = 0": "neither measured nor rejected",
        "UPDATE items SET width = 200, height = 200": "200x200 accepted above 39999 pixels",
        "UPDATE items SET rejection_code = 'timeout', rejection_message = 'm'": "rejected as 'timeout' without a known reason",
        "UPDATE items SET rejection_code = 'corrupt', rejection_message = ''": "rejected as 'corrupt' without a known reason",
    }.items():
        with damaged(database, damage) as connection:
            assert unaccounted(connection, the(item), Settings(max_pixels=39_999)).problems == [f"{item}: {problem}"]


def test_the_check_of_measurements_fails(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.probed(gallery.upload("fine.jpg"))
    item = gallery.upload()
    gallery.rejected(item, code="tired")
    evaluation = evaluate(media_info_is_complete, instance)
    assert not evaluation.passed
    assert evaluation.severity is AssetCheckSeverity.ERROR
    assert found(evaluation) == f"- {item}: rejected as 'tired' without a known reason"


# thumbnails


def owner_in_exif() -> bytes:
    private = Image.Exif()
    private[0x013B] = "Ada Secret"
    return private.tobytes()


Make = Callable[[Gallery, uuid.UUID], Thumbnail | None]
WRONG_THUMBNAILS: dict[str, tuple[Make, str]] = {
    "a size is missing": (lambda g, i: None, "no thumbnail of [256] px"),
    "an object is missing": (lambda g, i: g.thumbnail(i, 256, key="derived/nowhere.webp"), "is not in the bucket"),
    "other bytes than recorded": (lambda g, i: g.thumbnail(i, 256, sha256="0" * 64), "has other bytes than were recorded"),
    "no picture": (lambda g, i: g.thumbnail(i, 256, b"RIFF....WEBP"), "does not decode"),
    "half a picture": (lambda g, i: g.thumbnail(i, 256, webp(256, 171)[:-40]), "does not decode"),
    "another format": (lambda g, i: g.thumbnail(i, 256, b"\x89PNG\r\n\x1a\n" + b"\0" * 50), "does not decode"),
    "a camera's owner": (lambda g, i: g.thumbnail(i, 256, webp(256, 171, exif=owner_in_exif())), "private metadata: exif"),
    "a description": (lambda g, i: g.thumbnail(i, 256, webp(256, 171, xmp=b"<x:xmpmeta/>")), "private metadata: xmp"),
    "squeezed": (
        lambda g, i: g.thumbnail(i, 256, webp(256, 256), width=256, height=256),
        "is 256x256, not of the aspect ratio of 1200x800",
    ),
    "turned": (
        lambda g, i: g.thumbnail(i, 256, webp(171, 256), width=171, height=256),
        "is 171x256, not of the aspect ratio of 1200x800",
    ),
    "larger than its size": (
        lambda g, i: g.thumbnail(i, 256, webp(300, 200), width=300, height=200),
        "is 300x200, larger than its size or its original of 1200x800",
    ),
    "enlarged": (
        lambda g, i: g.thumbnail(i, 1600, webp(1500, 1000), width=1500, height=1000),
        "is 1500x1000, larger than its size or its original of 1200x800",
    ),
    "of other dimensions than recorded": (
        lambda g, i: g.thumbnail(i, 256, webp(128, 85)),
        "decodes to 128x85, recorded are 256x171",
    ),
}


def test_every_thumbnail_that_isnt_right_is_found(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.done("fine.jpg")
    expected = {}
    for fault, (make, problem) in WRONG_THUMBNAILS.items():
        item = gallery.upload(fault)
        gallery.probed(item)
        wrong = make(gallery, item)
        gallery.thumbnailed(item, **{f"of_{wrong.size if wrong else 256}": wrong})
        expected[str(item)] = problem
    evaluation = evaluate(thumbnails_are_complete, instance)
    assert not evaluation.passed
    assert evaluation.metadata["checked"].value == 1 + len(WRONG_THUMBNAILS)
    problems = dict(line.removeprefix("- ").split(": ", 1) for line in found(evaluation).splitlines())
    assert problems.keys() == expected.keys()
    for item_id, problem in expected.items():
        assert problem in problems[item_id]


def test_thumbnails_may_be_a_pixel_off_and_an_original_smaller_than_they(gallery: Gallery, instance: DagsterInstance) -> None:
    item = gallery.upload()
    gallery.probed(item, width=301, height=1)
    sizes = {256: 256, 800: 301, 1600: 301}
    thumbnails = {f"of_{s}": gallery.thumbnail(item, s, webp(w, 1), width=w, height=1) for s, w in sizes.items()}
    gallery.thumbnailed(item, **thumbnails)
    assert found(evaluate(thumbnails_are_complete, instance)) == ""


def test_in_a_run_a_sample_is_opened_and_everything_else_looked_at(gallery: Gallery) -> None:
    items = [gallery.done(f"{number}.jpg", direction=number % 8) for number in range(10)]
    opened: list[str] = []

    def fetch(key: str) -> bytes:
        opened.append(key)
        body: bytes = gallery.s3.get_object(Bucket=gallery.bucket, Key=key)["Body"].read()
        return body

    with gallery.store.engine.connect() as connection:
        in_run = incomplete(connection, Scope(items, [HOUR], whole=False), [256, 800, 1600, 3200], fetch)
        assert len(opened) == 24
        assert len(in_run.problems) == in_run.checked == 10  # every item lacks the fourth size
        opened.clear()
        incomplete(connection, the(*items), [256, 800, 1600], fetch)
    assert len(opened) == 30


# analyses


def test_every_analysis_that_isnt_one_is_found(gallery: Gallery, database: Database) -> None:
    item = gallery.done()
    for change, problem in {
        "category = 'dragon'": "the analysis doesn't match the schema at category",
        "summary = ''": "the analysis doesn't match the schema at summary",
        "tags = '[\"\"]'": "the analysis doesn't match the schema at tags.0",
        "tags = '{}'": "the analysis doesn't match the schema at tags",
        "objects = jsonb_set(objects, '{0,confidence}', '2')": "the analysis doesn't match the schema at objects.0.confidence",
        "objects = objects #- '{0,caption}'": "the analysis doesn't match the schema at objects.0.caption",
        "objects = jsonb_set(objects, '{0,mood}', '1')": "the analysis doesn't match the schema at objects.0.mood",
        "objects = jsonb_set(objects, '{0,bounding_box,x}', '-1')":
            "the analysis doesn't match the schema at objects.0.bounding_box.x",
        "objects = jsonb_set(objects, '{0,bounding_box,x}', '102')": "the box of object 0 leaves the 1200x800 picture",
        "objects = jsonb_set(objects, '{0,bounding_box,height}', '752')": "the box of object 0 leaves the 1200x800 picture",
        "model = ''": "provider or model isn't recorded",
        "provider = ''": "provider or model isn't recorded",
    }.items():  # fmt: skip
        with damaged(database, f"UPDATE analyses SET {change}") as connection:
            assert malformed(connection, the(item)).problems == [f"{item}: {problem}"]


def test_the_check_of_analyses_fails_for_what_a_model_got_wrong(gallery: Gallery, instance: DagsterInstance) -> None:
    gallery.done("fine.jpg")
    item = gallery.upload()
    gallery.probed(item)
    gallery.thumbnailed(item)
    gallery.analysed(item, category="dragon")
    evaluation = evaluate(analyses_match_schema, instance)
    assert not evaluation.passed
    assert found(evaluation) == f"- {item}: the analysis doesn't match the schema at category"


# embeddings


def test_every_vector_that_isnt_sound_is_found(gallery: Gallery, database: Database) -> None:
    item = gallery.done()
    for damage, problem in {
        "UPDATE embeddings SET embedding = '[2,0,0,0,0,0,0,0]'": "length 2.0000 instead of 1",
        "UPDATE embeddings SET embedding = '[0,0,0,0,0,0,0,0]'": "length 0.0000 instead of 1",
        "UPDATE embeddings SET embedding = '[1,0,0]'": "3 dimensions, recorded are 8",
        "UPDATE embeddings SET dimensions = 4": "8 dimensions, recorded are 4",
        "UPDATE embeddings SET analysis_id = item_id": "the vector is of an earlier analysis",
        "DELETE FROM analyses": "a search for its own vector doesn't find it",
    }.items():
        with damaged(database, damage) as connection:
            assert f"{item}: {problem}" in unsound(connection, the(item)).problems


def test_the_check_of_vectors_fails(gallery: Gallery, database: Database, instance: DagsterInstance) -> None:
    item = gallery.done()
    as_owner(database, "UPDATE embeddings SET embedding = '[2,0,0,0,0,0,0,0]'")
    evaluation = evaluate(embeddings_are_sound, instance)
    assert not evaluation.passed
    assert found(evaluation) == f"- {item}: length 2.0000 instead of 1"


@pytest.mark.parametrize("whole", [True, False])
def test_copies_of_one_picture_all_find_themselves(gallery: Gallery, whole: bool) -> None:
    items = [gallery.done(f"{number}.jpg", direction=0) for number in range(12)]  # more than a search brings
    with gallery.store.engine.connect() as connection:
        assert unsound(connection, Scope(items, [HOUR], whole)).problems == []


# detections

DOG = Detection(label="dog", confidence=0.5, bbox=(0, 0, 1, 1))


def test_every_detection_that_isnt_sound_is_found(gallery: Gallery, database: Database) -> None:
    item = gallery.upload()
    gallery.probed(item)
    gallery.thumbnailed(item)
    gallery.detected(item, [CAT, DOG])
    assert implausible_now(gallery, item) == []
    for change, problem in {
        "x = 201 WHERE label = 'cat'": "the box of detection 1 leaves the 1200x800 picture",
        "y = 101 WHERE label = 'cat'": "the box of detection 1 leaves the 1200x800 picture",
        "x = -1 WHERE label = 'dog'": "the box of detection 2 leaves the 1200x800 picture",
        "width = 0 WHERE label = 'dog'": "the box of detection 2 is 0x1",
        "confidence = 1.01 WHERE label = 'cat'": "the confidence of detection 1 is 1.010, not between 0.400 and 1",
        "confidence = 0.39 WHERE label = 'dog'": "the confidence of detection 2 is 0.390, not between 0.400 and 1",
        "confidence = 0.45 WHERE label = 'cat'": "not in the order of confidence",
        "ordinal = 3 WHERE label = 'dog'": "numbered [1, 3]",
        "label = '' WHERE label = 'dog'": "detection 2 has no label",
        "model = 'another' WHERE label = 'dog'": "detections of several models, or of none",
        "model = ''": "detections of several models, or of none",
        "model = 'another'": f"made by another, the recipe says {get_settings().detect_model}",
    }.items():
        with damaged(database, f"UPDATE detections SET {change}") as connection:
            assert implausible(connection, the(item), get_settings()).problems == [f"{item}: {problem}"]


def test_an_older_recipes_model_and_least_confidence_were_others(
    gallery: Gallery, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = gallery.done()
    monkeypatch.setenv("MEDIA_DETECT_MIN_CONFIDENCE", "0.95")
    get_settings.cache_clear()
    assert implausible_now(gallery, item) == []
    with damaged(database, "UPDATE detections SET confidence = 0") as connection:
        assert len(implausible(connection, the(item), get_settings()).problems) == 1


def test_the_check_of_detections_fails(gallery: Gallery, database: Database, instance: DagsterInstance) -> None:
    item, nothing = gallery.done(), gallery.upload("nothing.jpg")
    gallery.probed(nothing)
    gallery.thumbnailed(nothing)
    gallery.detected(nothing, [])
    as_owner(database, "UPDATE detections SET width = 2000")
    evaluation = evaluate(detections_are_sound, instance)
    assert not evaluation.passed
    assert evaluation.metadata["checked"].value == 2
    assert found(evaluation) == f"- {item}: the box of detection 1 leaves the 1200x800 picture"


def implausible_now(gallery: Gallery, item: uuid.UUID) -> list[str]:
    with gallery.store.engine.connect() as connection:
        return implausible(connection, the(item), get_settings()).problems
