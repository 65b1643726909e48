"""Synthesized templates, once each, and what tests read out of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from media_assets.local.synth import node_executable

if TYPE_CHECKING:
    from aws_cdk.assertions import Template


@contextmanager
def node() -> Iterator[None]:
    """Where aws_cdk is imported first: it starts a Node.js then."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JSII_NODE", str(node_executable()))
        patch.setenv("JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION", "1")
        yield


@cache
def synthesized(stage: str) -> Template:
    with node():
        from aws_cdk import App
        from aws_cdk.assertions import Template

        from infra.app import add_stack

        return Template.from_stack(add_stack(App(analytics_reporting=False), stage))


def granted(template: Template, role: str) -> dict[str, set[str]]:
    """Resources by action, of every policy attached to the role; conditions and refusals are not expected there."""
    rights: dict[str, set[str]] = {}
    for policy in template.find_resources("AWS::IAM::Policy").values():
        if {"Ref": role} not in policy["Properties"]["Roles"]:
            continue
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert statement.keys() == {"Action", "Effect", "Resource"}
            assert statement["Effect"] == "Allow"
            for action in _listed(statement["Action"]):
                rights.setdefault(action, set()).update(readable(r) for r in _listed(statement["Resource"]))
    return rights


def readable(value: Any) -> str:
    """A template value as one writes it in Fn::Sub, logical ids without their construct's path and CDK's hash."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return f"${{{_short(value['Ref'])}}}"
    if "Fn::GetAtt" in value:
        return f"${{{_short(value['Fn::GetAtt'][0])}.{value['Fn::GetAtt'][1]}}}"
    separator, parts = value["Fn::Join"]
    return str(separator).join(readable(part) for part in parts)


def _short(logical_id: str) -> str:
    """Parameters and what comes from AWS have the name that was written; others end in eight digits of a hash."""
    if not re.fullmatch(r"\w+[0-9A-F]{8}", logical_id):
        return logical_id
    return re.sub("^(Storage|Functions|EventLog)", "", logical_id[:-8])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
