"""Entry point of the CDK app: `cdk synth -c stage=dev` in this folder, or `python -m infra.app` with CDK_CONTEXT_JSON.

Context: `stage` (required; see stages.py) and `layer_dir`, the folder that `python -m infra.layers` wrote, relative to
the project. Synthesizing needs no account, no credentials and no network.
"""

from __future__ import annotations

from pathlib import Path

from aws_cdk import App

from infra.bundles import PROJECT
from infra.stacks.media_assets import MediaAssetsStack
from infra.stages import STAGES, stage_named


def add_stack(app: App, stage_name: str, layer_dir: Path | None = None) -> MediaAssetsStack:
    """The stack of one stage. Raises ValueError for a stage that isn't in stages.py."""
    stage = stage_named(stage_name)
    return MediaAssetsStack(app, f"media-assets-{stage.name}", stage=stage, layer_dir=layer_dir)


def main() -> None:
    app = App(analytics_reporting=False)
    stage_name = app.node.try_get_context("stage")
    if not stage_name:
        raise SystemExit(f"Which stage? Pass -c stage=<{'|'.join(STAGES)}>")
    layer_dir = app.node.try_get_context("layer_dir")
    add_stack(app, stage_name, PROJECT / layer_dir if layer_dir else None)
    app.synth()


if __name__ == "__main__":
    main()
