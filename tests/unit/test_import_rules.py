"""Who may import whom, and who may read the environment: the rooms of docs/architecture.md, held to by their sources.

defs ─▶ dispatch ─▶ lambdas.runtime.contract
  │        │
  └──▶ steps ──▶ eventlog ◀── uploads, relay        cli ─▶ local ─▶ anything above
lambdas.<step> ─▶ lambdas.runtime
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOTS = ("media_assets", "lambdas", "infra")

DAGSTER = {"dagster", "dagster_aws", "dagster_postgres", "dagster_webserver", "dagster_graphql"}
AWS = {"boto3", "botocore"}
HTTP = {"urllib", "urllib3", "http", "socket", "requests", "httpx", "aiohttp", "openai"}
DATABASE = {"sqlalchemy", "psycopg", "psycopg2", "asyncpg", "alembic", "pgvector"}
PICTURES = {"PIL", "pillow_heif", "av", "cv2", "numpy", "onnxruntime", "thumbhash"}


@dataclass(frozen=True)
class Rule:
    """What a room may import of this project, itself aside, and which packages and modules of others it may not."""

    may: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()


def rule(*may: str, never: set[str]) -> Rule:
    return Rule(frozenset(may), frozenset(never))


CONTRACT = "lambdas.runtime.contract"
CUTS = "media_assets.cuts"
TEXTS = "lambdas.runtime.overlay_text"
MODES = "lambdas.runtime.video.mode"
INSPECTION = "lambdas.runtime.inspection"
SETTINGS = "media_assets.settings"
EVENTLOG = "media_assets.eventlog"
STEPS = "media_assets.steps"
DISPATCH = "media_assets.dispatch"
UPLOADS = "media_assets.uploads"
ANCHORS = "media_assets.anchors"
ERASURE = "media_assets.erasure"
DEFS = "media_assets.defs"
RELAY = "media_assets.relay"

RULES = {
    CUTS: rule(never=DAGSTER | AWS | HTTP | DATABASE | PICTURES),
    SETTINGS: rule(CUTS, never=DAGSTER | AWS | HTTP | DATABASE | PICTURES),
    EVENTLOG: rule(never=DAGSTER | AWS | HTTP | PICTURES),
    STEPS: rule(CONTRACT, CUTS, TEXTS, MODES, SETTINGS, EVENTLOG, never=DAGSTER | AWS | HTTP | PICTURES),
    UPLOADS: rule(EVENTLOG, never=DAGSTER | AWS | PICTURES),
    ANCHORS: rule(EVENTLOG, never=DAGSTER | HTTP | PICTURES),
    ERASURE: rule(SETTINGS, EVENTLOG, STEPS, UPLOADS, never=DAGSTER | HTTP | PICTURES),
    DISPATCH: rule(CONTRACT, INSPECTION, MODES, CUTS, SETTINGS, EVENTLOG, STEPS, never=HTTP | PICTURES),
    RELAY: rule(SETTINGS, EVENTLOG, never=DAGSTER | HTTP | PICTURES),
    # Pillow for pictures that our own steps made: contact sheets, and the check on thumbnails. What a user uploaded is
    # parsed in lambdas only.
    DEFS: rule(
        CONTRACT, INSPECTION, "lambdas.analyze.schema", SETTINGS, EVENTLOG, STEPS, DISPATCH, UPLOADS, ANCHORS, ERASURE,
        never=HTTP | (PICTURES - {"PIL"}),
    ),
    "media_assets.definitions": rule(DEFS, never=AWS | HTTP | DATABASE | PICTURES),
    "media_assets.local": rule(SETTINGS, EVENTLOG, STEPS, UPLOADS, DISPATCH, DEFS, never=PICTURES),
    "media_assets.cli": rule(
        CONTRACT, CUTS, SETTINGS, EVENTLOG, STEPS, UPLOADS, ANCHORS, ERASURE, DISPATCH, DEFS, RELAY, "media_assets.local",
        never=PICTURES,
    ),
    "media_assets": rule(never=DAGSTER | AWS | HTTP | DATABASE | PICTURES),
    "lambdas.runtime": rule(never=DAGSTER | DATABASE),
    "lambdas.models": rule(never=DAGSTER | DATABASE | AWS),
    "lambdas.fonts": rule(never=DAGSTER | DATABASE | AWS),
    # Objects are read and written through lambdas.runtime.storage.
    "lambdas.probe": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas.thumbnail": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas.analyze": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas.embed": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas.detect": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas.segment": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas.frames": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas.inspect": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas.vary": rule("lambdas.runtime", never=DAGSTER | DATABASE | AWS),
    "lambdas": rule(never=DAGSTER | DATABASE | AWS),
    "infra": rule(never=DAGSTER | DATABASE | AWS | PICTURES),
}  # fmt: skip

READERS_OF_THE_ENVIRONMENT = ("media_assets.settings", "media_assets.local", "media_assets.cli", "lambdas.runtime")


def is_within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def room_of(module: str) -> str:
    """The narrowest room with a rule that a module is in. A package's own `__init__` is no room for its other parts."""
    for room in sorted(RULES, key=len, reverse=True):
        if module == room or (is_within(module, room) and room not in {"media_assets", "lambdas"}):
            return room
    raise LookupError(f"{module} is in no room: give it a rule in {Path(__file__).name}")


def imported(module: str, tree: ast.AST, *, is_package: bool = False) -> Iterator[str]:
    """Every module, or name in one, that a source imports anywhere in it, also for types only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: -node.level + is_package or None]
                base = ".".join(filter(None, [*parents, base]))
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {
            "__import__",
            "import_module",
            "importlib.import_module",
        }:
            yield from (str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant))


def reads_environment(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.environb", "os.getenv", "os.putenv"}:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            return any(alias.name in {"environ", "environb", "getenv", "putenv"} for alias in node.names)
    return False


def violations(module: str, source: str, *, is_package: bool = False) -> list[str]:
    """Sentences about what a module's source may not do."""
    room, tree = room_of(module), ast.parse(source)
    allowed = {room, *RULES[room].may}
    found = []
    for name in imported(module, tree, is_package=is_package):
        top = name.split(".")[0]
        if top in RULES[room].never or top == "tests":
            found.append(f"{module} imports {name}: {room} may not import {top}")
        elif top in ROOTS and not any(is_within(name, other) for other in allowed):
            found.append(f"{module} imports {name}: {room} may import {', '.join(sorted(allowed))}")
    if reads_environment(tree) and not any(is_within(module, reader) for reader in READERS_OF_THE_ENVIRONMENT):
        found.append(f"{module} reads the environment: configuration is in {SETTINGS}")
    return found


def sources() -> list[Path]:
    return [path for root in ROOTS for path in sorted((PROJECT / root).rglob("*.py"))]


def module_of(path: Path) -> str:
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_everybody_stays_in_their_room() -> None:
    assert len(sources()) > 90
    found = [
        violation
        for path in sources()
        for violation in violations(module_of(path), path.read_text(), is_package=path.name == "__init__.py")
    ]
    assert found == []


def test_nobody_imports_the_command_line_and_only_it_the_local_stack() -> None:
    for name, may in ((name, each.may) for name, each in RULES.items()):
        assert not any(is_within(room, "media_assets.cli") for room in may)
        assert name == "media_assets.cli" or not any(is_within(room, "media_assets.local") for room in may)


def test_every_rule_is_of_a_room_that_exists() -> None:
    modules = {module_of(path) for path in sources()}
    assert {room for room in RULES if room not in modules and not any(is_within(m, room) for m in modules)} == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("media_assets.eventlog.store", "import dagster"),
        ("media_assets.eventlog.store", "from dagster import asset"),
        ("media_assets.eventlog.store", "import boto3.session"),
        ("media_assets.eventlog.store", "from urllib.request import urlopen"),
        ("media_assets.eventlog.store", "def late():\n    import httpx"),
        ("media_assets.eventlog.store", "from media_assets.settings import get_settings"),
        ("media_assets.eventlog.store", "from media_assets import steps"),
        ("media_assets.eventlog.store", "from ..steps import claims"),
        ("media_assets.eventlog.store", "import importlib\nimportlib.import_module('dagster')"),
        ("media_assets.steps.claims", "import boto3"),
        ("media_assets.steps.claims", "from media_assets.dispatch.drain import drain"),
        ("media_assets.steps.claims", "from lambdas.runtime.storage import Storage"),
        ("media_assets.steps.claims", "from lambdas.runtime import storage"),
        ("media_assets.uploads.reconcile", "import boto3"),
        ("media_assets.anchors.proof", "from media_assets.defs.resource import MediaResource"),
        ("media_assets.erasure.sweep", "from media_assets.dispatch.drain import drain"),
        ("media_assets.uploads.reconcile", "from media_assets.steps.claims import Claims"),
        ("media_assets.dispatch.drain", "from media_assets.defs.resource import MediaResource"),
        ("media_assets.dispatch.drain", "import typing\nif typing.TYPE_CHECKING:\n    import media_assets.defs.jobs"),
        ("media_assets.dispatch.drain", "from PIL import Image"),
        ("media_assets.relay.service", "from media_assets.steps.claims import Claims"),
        ("media_assets.defs.jobs", "from media_assets.local.stack import Stack"),
        ("media_assets.defs.jobs", "from media_assets.cli import main"),
        ("media_assets.defs.jobs", "from lambdas.thumbnail.decode import decode"),
        ("media_assets.local.stack", "from media_assets.cli.output import out"),
        ("media_assets.settings", "import media_assets.steps"),
        ("lambdas.probe.handler", "from lambdas.thumbnail.decode import decode"),
        ("lambdas.probe.handler", "import lambdas.thumbnail"),
        ("lambdas.probe.handler", "from media_assets.settings import get_settings"),
        ("lambdas.probe.handler", "import boto3"),
        ("lambdas.runtime.pipes", "import dagster"),
        ("lambdas.runtime.pipes", "import psycopg"),
        ("lambdas.runtime.pipes", "from sqlalchemy import text"),
        ("lambdas.runtime.pipes", "from lambdas.probe.handler import handler"),
        ("lambdas.runtime.pipes", "from tests.conftest import received"),
        ("infra.app", "from media_assets.settings import get_settings"),
        ("media_assets.defs.resource", "import os\nos.environ['DATABASE_URL']"),
        ("media_assets.defs.resource", "import os\nos.getenv('DATABASE_URL')"),
        ("media_assets.dispatch.drain", "from os import environ"),
        ("lambdas.probe.handler", "import os\nos.environ.get('X')"),
    ],
)  # fmt: skip
def test_a_source_that_breaks_a_rule_is_caught(module: str, source: str) -> None:
    assert len(violations(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("media_assets.eventlog.store", "from media_assets.eventlog.events import Event\nfrom sqlalchemy import text"),
        ("media_assets.eventlog.store", "from .events import Event"),
        ("media_assets.dispatch.drain", "from lambdas.runtime.contract import Manifest\nimport dagster, boto3"),
        ("lambdas.probe.handler", "from lambdas.runtime import storage\nfrom lambdas.probe.exif import public_exif"),
        ("lambdas.runtime.pipes", "import dagster_pipes"),
        ("media_assets.local.stack", "import os\nos.environ"),
    ],
)
def test_a_source_that_breaks_none_is_not(module: str, source: str) -> None:
    assert violations(module, source) == []


def test_a_new_room_needs_a_rule() -> None:
    with pytest.raises(LookupError, match=r"media_assets\.kitchen\.stove is in no room"):
        violations("media_assets.kitchen.stove", "")
    with pytest.raises(LookupError):
        violations("lambdas.blur.handler", "")


def test_relative_imports_are_resolved_from_modules_and_packages() -> None:
    tree = ast.parse("from . import a\nfrom .b import c\nfrom ..d import e")
    assert list(imported("x.y.z", tree)) == ["x.y.a", "x.y.b.c", "x.d.e"]
    assert list(imported("x.y", tree, is_package=True)) == ["x.y.a", "x.y.b.c", "x.d.e"]
