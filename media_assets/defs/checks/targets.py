"""Whether the steps' targets answer: one check an asset. The pending work sensor reports it too, whenever that changes: a run
that finds its target down fails before its checks."""

import json
from collections.abc import Sequence

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    asset_check,
)

from media_assets.defs.resource import MediaResource
from media_assets.dispatch.breakers import Breaker, known_breakers
from media_assets.steps.catalogue import STEPS
from media_assets.steps.step import Step


def answering(step: Step, breakers: Sequence[Breaker]) -> AssetCheckResult:
    """Fails while a target of the step is known to have failed last: a warning if another one does the work, an error if
    none does."""
    own = {step.breaker(target) for target in step.targets}
    down = [breaker for breaker in breakers if breaker.target in own]
    found = "\n".join(f"- {breaker.text()}" for breaker in down)
    return AssetCheckResult(
        passed=not down,
        severity=AssetCheckSeverity.ERROR if len(down) == len(own) else AssetCheckSeverity.WARN,
        metadata={
            "targets": len(own),
            "not_answering": len(down),
            "failures": sum(breaker.failures for breaker in down),
            **({"found": MetadataValue.md(found)} if found else {}),
        },
    )


def paused_text(breakers: Sequence[Breaker]) -> str:
    """The targets that are left alone now; empty if there is none."""
    return "\n".join(breaker.text() for breaker in breakers if breaker.is_open)


def news_of_targets(breakers: Sequence[Breaker], cursor: str | None) -> tuple[list[AssetCheckEvaluation], str]:
    """Evaluations of the checks whose answer has changed since the cursor was written, and the next cursor."""
    before = json.loads(cursor) if cursor else {}
    now = {breaker.target: breaker.failures for breaker in breakers}
    changed = {target for target in before.keys() | now.keys() if before.get(target) != now.get(target)}
    evaluations = []
    for step in STEPS.values():
        if changed & {step.breaker(target) for target in step.targets}:
            result = answering(step, breakers)
            evaluations.append(
                AssetCheckEvaluation(
                    asset_key=AssetKey(step.asset),
                    check_name=_name(step),
                    passed=result.passed,
                    severity=result.severity,
                    metadata=result.metadata,
                )
            )
    return evaluations, json.dumps(now, sort_keys=True)


def _name(step: Step) -> str:
    return f"{step.asset}_targets_answer"


def _target_check(step: Step) -> AssetChecksDefinition:
    @asset_check(
        asset=step.asset,
        name=_name(step),
        description=f"No target of {step.name} ({', '.join(step.targets)}) is down or was when it was last asked.",
    )
    def _check(context: AssetCheckExecutionContext, media: MediaResource) -> AssetCheckResult:
        with media.store.engine.connect() as connection:
            return answering(step, known_breakers(connection))

    return _check


target_checks = [_target_check(step) for step in STEPS.values()]
