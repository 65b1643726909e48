"""Builds the functions' dependency layers: `python -m infra.layers [--out build/layers]`.

Wheels for Lambda's platform, whatever machine builds them, at the versions and hashes of requirements.txt; then the
unzipped size of layer and bundle is held against Lambda's limit. `cdk deploy -c layer_dir=build/layers` ships them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from infra.bundles import PROJECT, bundle_files
from infra.steps import FUNCTIONS, LAMBDA_PYTHON, Step

UNZIPPED_LIMIT_BYTES = 262_144_000
"""Of a function and its layers together (AWS Lambda quotas: 250 MB)."""

_PLATFORMS = ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux2014_x86_64")
"""What Amazon Linux 2023, under Python 3.12 and newer, can load (glibc 2.34); pip doesn't infer the older ones."""


class LayerTooLargeError(RuntimeError):
    """A function would not fit into Lambda."""

    def __init__(self, step: str, size_bytes: int) -> None:
        limit = UNZIPPED_LIMIT_BYTES / 1e6
        super().__init__(f"{step}: {size_bytes / 1e6:.0f} MB of packages and code; Lambda takes {limit:.0f} MB")


def build_layer(step: Step, out: Path) -> int:
    """Writes `out/<step>/python`, replacing what was there; returns the bytes of layer and bundle, unzipped.

    Raises LayerTooLargeError, and CalledProcessError when pip can't get a package.
    """
    layer = out / step.name
    shutil.rmtree(layer, ignore_errors=True)
    packages = layer / "python"
    packages.mkdir(parents=True)
    requirements = out / f"{step.name}.txt"
    requirements.write_text(locked(step.packages, (PROJECT / "requirements.txt").read_text(), step.without_packages))
    platforms = [argument for platform in _PLATFORMS for argument in ("--platform", platform)]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile"),
            *("--implementation", "cp", "--python-version", LAMBDA_PYTHON, *platforms),
            *("--target", str(packages), "--requirement", str(requirements)),
        ],
        check=True,
    )
    bundle = bundle_files(step.name, step.files)
    size = sum(file.stat().st_size for file in [*packages.rglob("*"), *bundle] if file.is_file())
    if size > UNZIPPED_LIMIT_BYTES:
        raise LayerTooLargeError(step.name, size)
    return size


def locked(packages: Iterable[str], lock: str, without: Iterable[str] = ()) -> str:
    """The part of a lock (`uv pip compile --generate-hashes`) that `packages` and what they depend on make up.

    Dependencies are read from the lock's own "via" comments. `without` and what only it needs is left out.
    Raises ValueError for a package that the lock doesn't have.
    """
    blocks: dict[str, list[str]] = {}
    for block in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)[1:]:
        blocks.setdefault(_name(block), []).append(block)
    missing = set(packages) - blocks.keys()
    if missing:
        raise ValueError(f"not in requirements.txt: {', '.join(sorted(missing))}")
    needed: set[str] = set()
    pending = list(packages)
    while pending:
        name = pending.pop()
        if name in needed or name in without:
            continue
        needed.add(name)
        pending += [other for other, forms in blocks.items() if any(name in _dependents(form) for form in forms)]
    return "".join(block for name in sorted(needed) for block in blocks[name])


def _name(block: str) -> str:
    return re.split(r"[\[=]", block, maxsplit=1)[0]


def _dependents(block: str) -> set[str]:
    """What brought a package in: `# via name`, or one name a line after `# via`."""
    comments = block.partition("# via")[2]
    return set(re.findall(r"^[ #]*([a-z0-9][a-z0-9-]*)$", comments, flags=re.MULTILINE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PROJECT / "build" / "layers")
    out: Path = parser.parse_args().out
    for step in FUNCTIONS:
        size = build_layer(step, out)
        print(f"{step.name}: {size / 1e6:.0f} MB of {UNZIPPED_LIMIT_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
