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

LIMITS = {"max_bytes": 10**8, "max_pixels": 10**8}
RENDITIONS = {"sizes": [256, 800, 1600], "quality": 80, "method": 0}
ANALYSIS = {"provider": "local", "model": "local/efficientnet-lite0+nanodet-g", "input_px": 800}
DETECTION = {"model": "local/nanodet-g-416", "input_px": 800, "min_confidence": 0.4}
EMBEDDING = {"provider": "local", "model": "local/all-minilm-l6-v2-int8", "dimensions": 384}
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
        s3 = self._client("s3")
        self._version = s3.put_object(Bucket=outputs.bucket, Key=UPLOAD, Body=body.getvalue())["VersionId"]

    def run(
        self, step: str, parameters: dict[str, Any], input: dict[str, Any], *, as_object: bool = False, **item: str
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
    probed = account.run("probe", LIMITS, {})
    shrunk = account.run("thumbnail", LIMITS | RENDITIONS, {})
    again = account.run("thumbnail", LIMITS | RENDITIONS, {})
    thumbnails = {output["attributes"]["size"]: output["key"] for output in shrunk["outputs"]}
    seen = account.run("analyze", ANALYSIS, {"thumbnails": thumbnails, "width": 900, "height": 600, "exif": {}})
    found = account.run("detect", DETECTION, {"thumbnails": thumbnails, "width": 900, "height": 600}, as_object=True)
    embedded = account.run("embed", EMBEDDING, {"text": "a red wall"})

    assert [outcome["error"] for outcome in (probed, shrunk, again, seen, found, embedded)] == [None] * 6
    assert again["outputs"] == shrunk["outputs"]


def test_a_deleted_upload_is_gone_and_not_forbidden(account: Account) -> None:
    outcome = account.run("probe", LIMITS, {}, key="uploads/ann/none.jpg", version_id="v0")
    assert outcome["error"]["code"] == "source_gone"


def test_a_step_may_not_read_what_others_own(account: Account) -> None:
    facts = {"thumbnails": {"800": UPLOAD}, "width": 900, "height": 600, "exif": {}}
    outcomes = [
        account.run("probe", LIMITS, {}, key="derived/i1/thumbnail/r1/v1/0/256.webp"),
        account.run("analyze", ANALYSIS, facts),
    ]
    assert [outcome["error"]["message"] for outcome in outcomes] == ["S3 answered AccessDenied"] * 2


def test_a_step_may_not_write_beside_its_own_results(account: Account) -> None:
    outcome = account.run("thumbnail", LIMITS | RENDITIONS, {}, output_prefix="derived/i1/analyze/r1/v1/0/")
    assert outcome["error"]["message"] == "S3 answered AccessDenied"


def _allow_clear_text(template_file: Path) -> None:
    """The emulator has no TLS here, so the policies that insist on it would refuse everything."""
    template = json.loads(template_file.read_text())
    for resource in template["Resources"].values():
        if resource["Type"] in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy"):
            for statement in resource["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Deny":
                    statement["Action"] = "none:None"
    template_file.write_text(json.dumps(template))
