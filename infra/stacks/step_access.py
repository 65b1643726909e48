"""What a step may do and what it is told, the same for its function and for its task: what it needs and nothing else."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from infra.stages import Stage
from infra.steps import Step


class StepAccess(Construct):
    """The bucket and the model endpoint's key, as steps get at them."""

    def __init__(self, scope: Construct, id: str, *, stage: Stage, bucket: s3.IBucket) -> None:
        super().__init__(scope, id)
        self._stage = stage
        self._bucket = bucket
        # By name, never a resource of the stack: so the key is in no template, and "not configured" is a plain absence.
        self._model_api_key = secretsmanager.Secret.from_secret_name_v2(
            self, "ModelApiKey", f"media-assets-{stage.name}/model-api-key"
        )

    def rights(self, step: Step) -> list[iam.PolicyStatement]:
        """Statements for the role that the step's code acts as."""
        travels = (f"dispatch/{step.name}/*",) if step.dispatched else ()  # its events and answers that are objects
        rights = [
            iam.PolicyStatement(
                actions=["s3:GetObject", "s3:GetObjectVersion"], resources=self._objects(*step.reads, *step.writes, *travels)
            ),
            # Without it S3 answers 403 instead of 404 for what is gone, and a deleted upload would look like an outage.
            iam.PolicyStatement(actions=["s3:ListBucket"], resources=[self._bucket.bucket_arn]),
        ]
        if stored := self._objects(*step.writes, *travels):
            rights.append(iam.PolicyStatement(actions=["s3:PutObject"], resources=stored))
        if step.calls_models:
            rights.append(
                iam.PolicyStatement(
                    actions=["secretsmanager:GetSecretValue"],
                    # Six characters that Secrets Manager appends to every name.
                    resources=[f"{self._model_api_key.secret_arn}-??????"],
                )
            )
        return rights

    def environment(self, step: Step) -> dict[str, str]:
        """Its variables."""
        variables = {"MEDIA_STAGE": self._stage.name, "MEDIA_BUCKET": self._bucket.bucket_name}
        if step.calls_models:
            variables["MODEL_API_KEY_SECRET"] = self._model_api_key.secret_name
        return variables

    def _objects(self, *patterns: str) -> list[str]:
        return [self._bucket.arn_for_objects(pattern) for pattern in patterns]
