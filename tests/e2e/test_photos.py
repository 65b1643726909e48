"""Photos dropped into S3 come out as thumbnails, analyses and embeddings, by themselves."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from media_assets.steps.catalogue import PIPELINES, STEPS
from tests.e2e.conftest import SAMPLES, RunningStack

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def album(running: RunningStack, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    """A folder of good and bad files, uploaded and followed to the end; the answer of `upload --wait --json`."""
    folder = tmp_path_factory.mktemp("album")
    cat = (SAMPLES / "chelsea.png").read_bytes()
    photo = (SAMPLES / "china.jpg").read_bytes()
    (folder / "a cat + ü.png").write_bytes(cat)
    (folder / "coffee.png").write_bytes((SAMPLES / "coffee.png").read_bytes())
    (folder / "rocket.jpg").write_bytes((SAMPLES / "rocket.jpg").read_bytes())
    (folder / "really a png.jpg").write_bytes(cat)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "truncated.jpg").write_bytes(photo[: len(photo) // 2])
    (folder / "letter.jpg").write_text("Dear Ada, this is not a photograph.")
    (folder / "deep").mkdir()
    Image.new("I;16", (640, 480), 30_000).save(folder / "deep" / "grey.tif")
    return list(running.json("upload", folder, "--user", "ada", "--wait", expect=1))


def by_name(album: list[dict[str, object]], name: str) -> dict[str, object]:
    return next(each for each in album if Path(str(each["path"])).name == name)


def test_good_files_are_done_and_bad_ones_say_why(album: list[dict[str, object]]) -> None:
    assert {Path(str(each["path"])).name: (each["state"], each["code"]) for each in album} == {
        "a cat + ü.png": ("done", None),
        "coffee.png": ("done", None),
        "rocket.jpg": ("done", None),
        "really a png.jpg": ("done", None),
        "grey.tif": ("done", None),
        "empty.jpg": ("rejected", "empty"),
        "truncated.jpg": ("rejected", "truncated"),
        "letter.jpg": ("rejected", "unsupported_format"),
    }
    assert all(each["message"] for each in album if each["state"] == "rejected")


def test_show_has_everything_derived_from_a_photo(running: RunningStack, album: list[dict[str, object]]) -> None:
    item = running.json("show", str(by_name(album, "a cat + ü.png")["key"]))

    assert (item["kind"], item["state"], item["width"], item["height"]) == ("image", "done", 451, 300)
    assert [(each["size"], each["width"], each["height"]) for each in item["thumbnails"]] == [
        (256, 256, 170),
        (800, 451, 300),
        (1600, 451, 300),
    ]
    assert item["placeholder"]
    assert item["analysis"]["category"] == "animal"
    assert "cat" in item["analysis"]["tags"]
    assert item["analysis"]["provider"] == "local"
    assert item["embedding"] == {"model": "local/all-minilm-l6-v2-int8", "dimensions": 384}
    assert [found["label"] for found in item["detections"]["detections"]] == ["cat"]
    assert item["rejection"] is None


def test_thumbnails_in_the_bucket_are_what_the_log_says(running: RunningStack, album: list[dict[str, object]]) -> None:
    item = running.json("show", str(by_name(album, "coffee.png")["item_id"]))

    for thumbnail in item["thumbnails"]:
        stored = running.s3().get_object(Bucket=item["bucket"], Key=thumbnail["key"])
        body = stored["Body"].read()
        assert stored["ContentType"] == "image/webp"
        assert hashlib.sha256(body).hexdigest() == thumbnail["sha256"]
        assert Image.open(io.BytesIO(body)).size == (thumbnail["width"], thumbnail["height"])


def test_search_finds_by_meaning(running: RunningStack, album: list[dict[str, object]]) -> None:
    hits = running.json("search", "a kitten", "--limit", "2")

    assert {hit["item_id"] for hit in hits} == {
        by_name(album, name)["item_id"] for name in ("a cat + ü.png", "really a png.jpg")
    }
    assert hits[0]["score"] >= hits[1]["score"] > 0.3
    assert "cat" in hits[0]["summary"]


def test_the_history_of_an_item_is_its_events(running: RunningStack, album: list[dict[str, object]]) -> None:
    events = running.json("events", str(by_name(album, "rocket.jpg")["key"]))

    detected = [event for event in events if event["type"] == "DetectionsCompleted"]
    others = [event for event in events if event not in detected]
    assert [event["type"] for event in others] == [
        "UploadReceived",
        "MediaProbed",
        "ThumbnailCreated",
        "AnalysisCompleted",
        "EmbeddingStored",
    ]
    for job, own in (("image_pipeline", others[1:]), ("detection_pipeline", detected)):
        (run,) = {event["run_id"] for event in own}
        answer = running.graphql(f'{{ runOrError(runId: "{run}") {{ ... on Run {{ status jobName }} }} }}')
        assert answer["runOrError"] == {"status": "SUCCESS", "jobName": job}
    assert {(event["target"], event["target_reason"]) for event in others[1:]} == {("lambda", "only_target")}


def test_status_counts_items_steps_and_queues(running: RunningStack, album: list[dict[str, object]]) -> None:
    status = running.json("status")

    assert status["items"]["done"] >= 5
    assert status["items"]["rejected"] >= 3
    assert set(status["steps"]) == set(STEPS)
    assert status["steps"]["embed"]["dead"] == 0
    assert status["queues"]["uploads_dead_letters"] == {"waiting": 0, "in_flight": 0}
    assert {run["job"] for run in status["runs"]} <= {f"{pipeline}_pipeline" for pipeline in PIPELINES}
    assert status["rejections"]["unsupported_format"] >= 1


def test_materializations_carry_figures_and_a_picture_that_browsers_get(
    running: RunningStack, album: list[dict[str, object]]
) -> None:
    answer = running.graphql("""{ assetOrError(assetKey: {path: ["thumbnails"]}) { ... on Asset {
        assetMaterializations(limit: 20) { partition metadataEntries { label
            ... on IntMetadataEntry { intValue } ... on MarkdownMetadataEntry { mdStr } } } } } }""")

    materializations = [
        {entry["label"]: entry.get("intValue", entry.get("mdStr")) for entry in each["metadataEntries"]}
        for each in answer["assetOrError"]["assetMaterializations"]
    ]
    busy = next(each for each in materializations if each["processed"] and each["contact_sheet"])
    assert {"processed", "failed", "rejected", "pending", "bytes", "milliseconds"} <= busy.keys()
    address = str(busy["contact_sheet"]).removeprefix("![contact sheet](").removesuffix(")")
    bucket, key = address.removeprefix(running.environment["AWS_ENDPOINT_URL"] + "/").split("/", 1)
    sheet = Image.open(io.BytesIO(running.s3().get_object(Bucket=bucket, Key=key)["Body"].read()))
    assert sheet.format == "JPEG"
    assert sheet.width > 140


def test_the_ui_says_why_files_were_rejected(running: RunningStack, album: list[dict[str, object]]) -> None:
    answer = running.graphql("""{ assetOrError(assetKey: {path: ["media_info"]}) { ... on Asset {
        assetMaterializations(limit: 20) { metadataEntries { label ... on TextMetadataEntry { text } } } } } }""")

    entries = [entry for each in answer["assetOrError"]["assetMaterializations"] for entry in each["metadataEntries"]]
    reasons = " ".join(entry["text"] for entry in entries if entry["label"] == "reasons")
    assert "empty 1" in reasons
    assert "unsupported_format 1" in reasons


def test_every_check_passed(running: RunningStack, album: list[dict[str, object]]) -> None:
    evaluated = running.checks()
    assert {"media_info_is_complete", "thumbnails_are_complete", "analyses_match_schema", "embeddings_are_sound"} <= set(
        evaluated
    )
    assert all(evaluated.values()), evaluated


def test_replay_says_identical(running: RunningStack, album: list[dict[str, object]]) -> None:
    result = running.json("replay", "--verify")

    assert result["identical"] is True
    assert result["events"] > 20
    assert result["live_digest"] == result["replayed_digest"]


def test_the_log_verifies_and_its_anchor_is_locked(running: RunningStack, album: list[dict[str, object]]) -> None:
    proved = running.json("verify", "--anchor")
    assert proved["intact"]
    bucket = running.environment["MEDIA_ANCHOR_BUCKET"]
    newest = running.s3().list_object_versions(Bucket=bucket, Prefix="anchors/")["Versions"][-1]
    assert newest["Key"] == f"anchors/{proved['head']:020}.json"
    with pytest.raises(ClientError, match="AccessDenied"):
        running.s3().delete_object(Bucket=bucket, Key=newest["Key"], VersionId=newest["VersionId"])
    assert running.json("verify", "--since", str(proved["head"]))["anchors"] == 1


def test_a_person_at_psql_finds_rows_by_item_id(running: RunningStack, album: list[dict[str, object]]) -> None:
    item_id = by_name(album, "coffee.png")["item_id"]

    for table in ("items", "analyses", "embeddings"):
        assert len(running.sql(f"SELECT * FROM {table} WHERE item_id = %s", item_id)) == 1


def test_a_b_a_on_one_key_ends_at_a(running: RunningStack) -> None:
    a, b = ((SAMPLES / name).read_bytes() for name in ("flower.jpg", "camera.png"))
    key = "uploads/bob/changing.jpg"

    versions = [running.put(key, body) for body in (a, b, a)]
    running.eventually(lambda: running.state_of(key) == (versions[-1], "done"))

    item = running.json("show", key)
    assert (item["width"], item["height"]) == (640, 427)
    received = [event for event in running.json("events", key) if event["type"] == "UploadReceived"]
    assert len(received) == 3


def test_reprocessing_computes_anew_and_keeps_history(running: RunningStack, album: list[dict[str, object]]) -> None:
    key = str(by_name(album, "rocket.jpg")["key"])

    asked = running.json("reprocess", key, "--step", "analyze")
    assert (asked["items"], asked["requested"], asked["steps"].keys()) == (1, 2, {"analyze", "embed"})

    def recomputed() -> bool:
        events = running.json("events", key)
        return [event["type"] for event in events if event["generation"] == 1][-1] == "EmbeddingStored"

    running.eventually(recomputed)
    assert running.json("show", key)["state"] == "done"
    assert running.json("replay", "--verify")["identical"]


def test_dagster_materializes_an_hour_in_a_plain_shell(running: RunningStack) -> None:
    hour = datetime.now(UTC).strftime("%Y-%m-%d-%H:00")
    shell = running.cli("env").stdout + f'\n"$1" asset materialize --select thumbnails --partition {hour}\n'

    dagster = Path(sys.executable).with_name("dagster")
    done = subprocess.run(["sh", "-c", shell, "sh", str(dagster)], capture_output=True, text=True, cwd="/", timeout=120)

    assert done.returncode == 0, done.stderr
    assert "RUN_SUCCESS" in done.stderr


def test_clear_errors(running: RunningStack, tmp_path: Path) -> None:
    assert "no item 'uploads/me/nothing.jpg'" in running.cli("show", "uploads/me/nothing.jpg", expect=1).stderr
    assert "there is no step 'paint'" in running.cli("reprocess", "x", "--step", "paint", expect=1).stderr
    assert "no file in" in running.cli("upload", tmp_path, expect=1).stderr
