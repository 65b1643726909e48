"""What goes into a function's zip: its own folder, the shared runtime, the models and fonts it reads; never a package.

Third-party packages come from a layer (layers.py) or, on one machine, from the interpreter that runs the emulator.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def bundle_files(step: str, others: Iterable[str], lambdas: Path = PROJECT / "lambdas") -> list[Path]:
    """The files of `lambdas/` that the step's bundle holds, sorted. `others` are glob patterns in there.

    Raises ValueError when the step has no handler or a pattern matches nothing.
    """
    if not (lambdas / step / "handler.py").is_file():
        raise ValueError(f"step {step!r} has no lambdas/{step}/handler.py")
    files = {lambdas / "__init__.py", *_source_files(lambdas / "runtime"), *_source_files(lambdas / step)}
    for pattern in others:
        matches = {path for path in lambdas.glob(pattern) if path.is_file()}
        if not matches:
            raise ValueError(f"step {step!r} needs lambdas/{pattern}, which matches no file")
        files |= matches
    return sorted(files)


def write_bundle(step: str, others: Iterable[str], target: Path, lambdas: Path = PROJECT / "lambdas") -> None:
    """Copies the bundle to `target`, as the package `lambdas`. Raises ValueError as `bundle_files` does."""
    for file in bundle_files(step, others, lambdas):
        copy = target / file.relative_to(lambdas.parent)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _source_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
