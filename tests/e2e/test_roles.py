"""The functions' roles against the functions' code, in an emulator that enforces IAM: enough, and no more."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from PIL import Image

from lambdas.runtime.contract import event_key
from media_assets.local.deploy import StackOutputs, deploy
from media_assets.local.emulator import CREDENTIALS, REGION, Emulator
from media_assets.local.ports import free_port
from media_assets.local.synth import synthesize
from media_assets.settings import get_settings
from tests.unit.videos import Videos

LIMITS = {"max_bytes": 10**8, "max_pixels": 10**8}
VIDEO_LIMITS = {"max_video_bytes": 10**8, "max_video_pixels": 10**7, "max_video_seconds": 60.0, "max_video_frames": 10**4}
RENDITIONS = {"sizes": [256, 800, 1600], "quality": 80, "method": 0}
ANALYSIS = {"provider": "local", "model": "local/efficientnet-lite0+nanodet-g", "input_px": 800}
DETECTION = {"model": "local/nanodet-g-416", "input_px": 800, "min_confidence": 0.4}
EMBEDDING = {"provider": "local", "model": "local/all-minilm-l6-v2-int8", "dimensions": 384}
FRAMES = {"per_minute": 60.0, "max_frames": 10, "max_side_px": 256, "quality": 80}
FIXED = {"type": "fixed", "duration_seconds": 1.0}
SEGMENTATION = {"cut": FIXED, "exact": False, "text": None, "crf": 30, "preset": "ultrafast"}
VARIATION = {"provider": "openai", "model": "gpt-4.1-mini"}
UPLOAD = "uploads/ann/red.jpg"


class EnforcingEmulator(Emulator):
    """Functions act as their roles; only the emulator's own credentials may do everything."""

    def _environment(self, port: int, scratch: Path) -> dict[str, str]:
        return super()._environment(port, scratch) | {"AUTH": "true"}


class Account:
    """A deployed stack with one upload in its bucket."""

    def __init__(self, url: str, outputs: StackOutputs) -> None:
        self._url = url
        self._outputs = outputs
        body = io.BytesIO()
        Image.new("RGB", (900, 600), "red").save(body, "JPEG")
        self._size = len(body.getvalue())
        self._version = self.put(UPLOAD, body.getvalue())["version_id"]

    def put(self, key: str, body: bytes) -> dict[str, Any]:
        """Of an upload what an item has of it."""
        stored = self._client("s3").put_object(Bucket=self._outputs.bucket, Key=key, Body=body)
        return {"key": key, "version_id": stored["VersionId"], "size_bytes": len(body)}

    def run(
        self, step: str, parameters: dict[str, Any], input: dict[str, Any], *, as_object: bool = False, **item: Any
    ) -> dict[str, Any]:
        """The outcome of one item, by default the upload. `as_object`: the event is in the bucket."""
        fields = {
            "item_id": "i1",
            "bucket": self._outputs.bucket,
            "key": UPLOAD,
            "version_id": self._version,
            "size_bytes": self._size,
            "generation": 0,
            "output_prefix": f"derived/i1/{step}/r1/v1/0/",
            "input": input,
        }
        request = {
            "batch_id": "b1",
            "attempt_id": "a2",
            "attempt": 2,  # which looks for what the first one stored
            "step": step,
            "recipe": "r1",
            "parameters": parameters,
            "items": [fields | item],
        }
        event = {"request": request}
        if as_object:
            event = {"event_object": self._deposited(event_key(step, "a2"), json.dumps(event).encode())}
        answer = self._client("lambda").invoke(FunctionName=self._outputs.functions[step], Payload=json.dumps(event))
        payload = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, payload
        (outcome,) = payload["manifest"]["outcomes"]
        return dict(outcome)

    def _deposited(self, key: str, body: bytes) -> dict[str, Any]:
        self._client("s3").put_object(Bucket=self._outputs.bucket, Key=key, Body=body)
        return {"bucket": self._outputs.bucket, "key": key, "sha256": hashlib.sha256(body).hexdigest()}

    def _client(self, service: str) -> Any:
        session = boto3.Session(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        return session.client(service, endpoint_url=self._url, region_name=REGION)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    assembly = folder / "assembly"
    shutil.copytree(synthesize(get_settings().state_dir / "cdk.out"), assembly)
    _allow_clear_text(assembly / "media-assets-local.template.json")
    emulator, port = EnforcingEmulator(folder / "emulator", folder / "emulator.log"), free_port()
    emulator.start(port)
    url = f"http://127.0.0.1:{port}"
    yield Account(url, deploy(assembly, endpoint_url=url))
    emulator.stop()


def test_roles_are_enough_for_every_step(account: Account) -> None:
    probed = account.run("probe", LIMITS | VIDEO_LIMITS, {})
    shrunk = account.run("thumbnail", LIMITS | RENDITIONS, {})
    again = account.run("thumbnail", LIMITS | RENDITIONS, {})
    thumbnails = {output["attributes"]["size"]: output["key"] for output in shrunk["outputs"]}
    seen = account.run("analyze", ANALYSIS, {"thumbnails": thumbnails, "width": 900, "height": 600, "exif": {}})
    found = account.run("detect", DETECTION, {"thumbnails": thumbnails, "width": 900, "height": 600}, as_object=True)
    embedded = account.run("embed", EMBEDDING, {"text": "a red wall"})

    assert [outcome["error"] for outcome in (probed, shrunk, again, seen, found, embedded)] == [None] * 6
    assert again["outputs"] == shrunk["outputs"]


def test_roles_are_enough_for_every_step_of_a_video(account: Account, videos: Videos) -> None:
    clip = account.put("uploads/ann/clip.mp4", videos("mp4").read_bytes())
    probed = account.run("probe", LIMITS | VIDEO_LIMITS, {}, **clip)
    facts = {name: probed["result"][name] for name in ("video", "width", "height")}
    pictured = account.run("frames", VIDEO_LIMITS | FRAMES, facts, **clip)
    frame = {name: pictured["result"]["frames"][0][name] for name in ("key", "version_id", "size_bytes")}
    shrunk = account.run("thumbnail", LIMITS | RENDITIONS, {}, item_id="f1", output_prefix="derived/f1/thumbnail/r1/", **frame)
    plan = {"cuts_ms": [[0, 1000], [1000, probed["result"]["video"]["duration_ms"]]], "texts": None}
    cut, job = (
        account.run("segment", VIDEO_LIMITS | SEGMENTATION, facts | plan, output_prefix=prefix, **clip)
        for prefix in ("derived/i1/segment/r1/v1/0/", "processed/j1/")
    )
    varied = account.run(
        "vary", VARIATION, {"base_text": "Hello", "context": None, "count": 2}, output_prefix="processed/j1/vary/"
    )

    assert [outcome["error"] for outcome in (probed, pictured, shrunk, cut, job)] == [None] * 5
    assert [segment["key"] for segment in job["result"]["segments"]] == [f"processed/j1/segment_00{i}.mp4" for i in range(2)]
    assert varied["error"]["code"] == "model_not_configured"  # after it had looked for an earlier answer; there is no key


def test_a_deleted_upload_is_gone_and_not_forbidden(account: Account) -> None:
    outcome = account.run("probe", LIMITS | VIDEO_LIMITS, {}, key="uploads/ann/none.jpg", version_id="v0")
    assert outcome["error"]["code"] == "source_gone"


def test_a_step_may_not_read_what_others_own(account: Account) -> None:
    facts = {"thumbnails": {"800": UPLOAD}, "width": 900, "height": 600, "exif": {}}
    outcomes = [
        account.run("probe", LIMITS | VIDEO_LIMITS, {}, key="derived/i1/thumbnail/r1/v1/0/256.webp"),
        account.run("analyze", ANALYSIS, facts),
    ]
    assert [outcome["error"]["message"] for outcome in outcomes] == ["S3 answered AccessDenied"] * 2


def test_a_step_may_not_write_beside_its_own_results(account: Account) -> None:
    outcomes = [
        account.run("thumbnail", LIMITS | RENDITIONS, {}, output_prefix="derived/i1/analyze/r1/v1/0/"),
        account.run("vary", VARIATION, {"base_text": "Hello", "context": None, "count": 2}, output_prefix="processed/j1/"),
    ]
    assert [outcome["error"]["message"] for outcome in outcomes] == ["S3 answered AccessDenied"] * 2


def _allow_clear_text(template_file: Path) -> None:
    """The emulator has no TLS here, so the policies that insist on it would refuse everything."""
    template = json.loads(template_file.read_text())
    for resource in template["Resources"].values():
        if resource["Type"] in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Deny":
                    statement["Action"] = "none:None"
    template_file.write_text(json.dumps(template))
