"""Writes the folder that the tasks' image is built from: `python -m infra.task_image [--out build/task-image]`.

Code, models and fonts of every step that may run on ECS, its packages at the versions and hashes of requirements.txt, and the
Dockerfile; nothing else gets near the image.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from infra.bundles import PROJECT, write_bundle
from infra.layers import locked
from infra.steps import STEPS

_DOCKERFILE = PROJECT / "infra" / "images" / "tasks" / "Dockerfile"
_FROM_LAMBDA = "boto3"
"""What functions find in Lambda, and tasks nowhere."""


def write_context(out: Path) -> None:
    """Replaces what `out` held."""
    steps = [step for step in STEPS if step.task]
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    shutil.copyfile(_DOCKERFILE, out / _DOCKERFILE.name)
    packages = {_FROM_LAMBDA, *(package for step in steps for package in step.packages)}
    (out / "requirements.txt").write_text(locked(packages, (PROJECT / "requirements.txt").read_text()))
    for step in steps:
        write_bundle(step.name, step.files, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PROJECT / "build" / "task-image")
    out: Path = parser.parse_args().out
    write_context(out)
    print(f"docker build --platform linux/amd64 --tag <repository>:<tag> {out}")


if __name__ == "__main__":
    main()
