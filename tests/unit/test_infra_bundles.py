"""What is shipped to Lambda: bundles of code, layers of packages, and that the one has what the other imports."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from infra.bundles import PROJECT, bundle_files
from infra.layers import LayerTooLargeError, build_layer, locked
from infra.steps import FUNCTIONS, STEPS, Step
from infra.task_image import write_context
from media_assets.local.deploy import zipped

step_names = pytest.mark.parametrize("step", [step.name for step in FUNCTIONS])


@step_names
def test_a_bundle_holds_the_code_and_the_files_of_its_step_only(step: str) -> None:
    others = {s.name: s.files for s in FUNCTIONS}[step]
    files = [path.relative_to(PROJECT / "lambdas") for path in bundle_files(step, others)]
    assert {path.parts[0] for path in files} == {"__init__.py", "runtime", step} | {each.partition("/")[0] for each in others}
    assert Path(step, "handler.py") in files
    assert not [path for path in files if path.parts[0] in {"models", "fonts"} and path.suffix == ".py"]
    assert not [path for path in files if "__pycache__" in path.parts]


def test_a_model_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe" / "handler.py").touch()
    with pytest.raises(ValueError, match=r"'probe' needs lambdas/models/weights\.onnx"):
        bundle_files("probe", ["models/weights.onnx"], tmp_path)


@step_names
def test_a_layer_has_every_package_that_its_function_can_reach(step: str) -> None:
    (spec,) = [s for s in FUNCTIONS if s.name == step]
    lock = locked(spec.packages, (PROJECT / "requirements.txt").read_text(), spec.without_packages)
    installed = {line.split("==")[0] for line in lock.splitlines() if "==" in line and not line.startswith(" ")}
    from_lambda = {"boto3", "botocore", "urllib3"}
    distributions = packages_distributions()
    missing = {
        module
        for module in imported_by(step)
        if module in distributions and not {_normal(name) for name in distributions[module]} & (installed | from_lambda)
    }
    assert not missing


def test_the_image_has_all_that_its_tasks_run_and_reach(tmp_path: Path) -> None:
    write_context(tmp_path / "image")

    copied = re.findall(r"^COPY (\S+) ", (tmp_path / "image" / "Dockerfile").read_text(), flags=re.MULTILINE)
    assert sorted(path.name for path in (tmp_path / "image").iterdir()) == sorted(["Dockerfile", *copied])
    lock = (tmp_path / "image" / "requirements.txt").read_text()
    installed = {line.split("==")[0] for line in lock.splitlines() if "==" in line and not line.startswith(" ")}
    assert installed >= {"boto3", "botocore", "s3transfer", "jmespath", "urllib3"}
    distributions = packages_distributions()
    for step in (step for step in STEPS if step.task):
        assert Path(tmp_path, "image", "lambdas", step.name, "task.py").is_file()
        for module in imported_by(step.name):
            assert module not in distributions or {_normal(name) for name in distributions[module]} & installed, module


def test_a_layer_takes_what_the_lock_says_its_packages_bring_along() -> None:
    lock = "\n".join(
        [
            "inner==1 \\",
            "    --hash=sha256:aa",
            "    # via",
            "    #   outer",
            "    #   other",
            "hub==2 ; sys_platform == 'linux' \\",
            "    --hash=sha256:bb",
            "    # via outer",
            "hub-only==3 \\",
            "    --hash=sha256:cc",
            "    # via hub",
            "other==4 \\",
            "    --hash=sha256:dd",
            "    # via -r requirements.in",
            "outer==5 \\",
            "    --hash=sha256:ee",
            "    # via -r requirements.in",
            "",
        ]
    )

    def names(text: str) -> list[str]:
        return [line.split("==")[0] for line in text.splitlines() if "==" in line]

    assert names(locked(["outer"], lock)) == ["hub", "hub-only", "inner", "outer"]
    assert names(locked(["outer"], lock, without=["hub"])) == ["inner", "outer"]
    with pytest.raises(ValueError, match="absent"):
        locked(["absent"], lock)


def test_a_function_too_large_for_lambda_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.layers.UNZIPPED_LIMIT_BYTES", 1000)
    with pytest.raises(LayerTooLargeError, match="probe"):
        build_layer(Step(name="probe", memory_mb=128, timeout_seconds=1, packages=()), tmp_path)


def test_a_zip_depends_on_names_and_contents_only(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, names in ((first, ("a.py", "b.py")), (second, ("b.py", "a.py"))):
        (folder / "package").mkdir(parents=True)
        for name in names:
            (folder / "package" / name).write_text(name)
    (second / "package" / "a.py").chmod(0o600)
    assert zipped(first) == zipped(second)


def imported_by(step: str) -> set[str]:
    """By everything in its folder: also by what the handler starts as a process of its own."""
    return set().union(*map(imported, (PROJECT / "lambdas" / step).glob("*.py")))


def imported(module: Path, seen: set[Path] | None = None) -> set[str]:
    """Top-level names of everything that a file in lambdas/ imports, itself or through others there."""
    seen = set() if seen is None else seen
    if module in seen:
        return set()
    seen.add(module)
    names: set[str] = set()
    for node in _executed(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in modules:
            if not name.startswith("lambdas."):
                names.add(name.partition(".")[0])
                continue
            path = PROJECT.joinpath(*name.split("."))
            for file in (path.with_suffix(".py"), path / "__init__.py"):
                if file.is_file():
                    names |= imported(file, seen)
    return names


def _executed(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node but those that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield node
            yield from _executed(node)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
