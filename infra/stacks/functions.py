"""One Lambda function a step, and the one that checks ask, each with a role of its own."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from aws_cdk import Annotations, Duration, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.bundles import write_bundle
from infra.stacks.step_access import StepAccess
from infra.stages import Stage
from infra.steps import FUNCTIONS, LAMBDA_PYTHON, Step

_RUNTIME = lambda_.Runtime(f"python{LAMBDA_PYTHON}", lambda_.RuntimeFamily.PYTHON)
_ARCHITECTURE = lambda_.Architecture.X86_64


class StepFunctions(Construct):
    """`by_step` maps a step's name, or `inspect`, to its function, `media-assets-<stage>-<step>`."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, access: StepAccess, layer_dir: Path | None) -> None:
        super().__init__(scope, id)
        if layer_dir is None and stage.name != "local":
            Annotations.of(self).add_error(
                "The functions lack their packages: run `python -m infra.layers` and pass -c layer_dir=build/layers."
            )
        self.by_step = {step.name: _function(self, step, stage, access, layer_dir) for step in FUNCTIONS}


def _function(scope: Construct, step: Step, stage: Stage, access: StepAccess, layer_dir: Path | None) -> lambda_.Function:
    id = step.name.capitalize()
    name = f"media-assets-{stage.name}-{step.name}"
    log_group = stage.log_group(scope, f"{id}Logs", f"/aws/lambda/{name}")
    role = iam.Role(scope, f"{id}Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    log_group.grant_write(role)
    for statement in access.rights(step):
        role.add_to_policy(statement)
    with TemporaryDirectory() as folder:
        write_bundle(step.name, step.files, Path(folder))
        return lambda_.Function(
            scope,
            id,
            function_name=name,
            description=f"media-assets: {step.name} a batch of files",
            runtime=_RUNTIME,
            architecture=_ARCHITECTURE,
            handler=f"lambdas.{step.name}.handler.handler",
            code=lambda_.Code.from_asset(folder),
            layers=[_layer(scope, step, layer_dir)] if layer_dir is not None else None,
            memory_size=step.memory_mb,
            timeout=Duration.seconds(step.timeout_seconds),
            ephemeral_storage_size=Size.mebibytes(step.scratch_mb) if step.scratch_mb else None,
            reserved_concurrent_executions=stage.reserved_concurrency,
            role=role.without_policy_updates(),
            log_group=log_group,
            environment=access.environment(step),
        )


def _layer(scope: Construct, step: Step, layer_dir: Path) -> lambda_.LayerVersion:
    return lambda_.LayerVersion(
        scope,
        f"{step.name.capitalize()}Packages",
        code=lambda_.Code.from_asset(str(layer_dir / step.name)),
        compatible_runtimes=[_RUNTIME],
        compatible_architectures=[_ARCHITECTURE],
    )
