"""A manifest that doesn't account for its batch: nothing of it is appended, no file is blamed, the run says what is wrong."""

from __future__ import annotations

import pytest

from tests.contract.pipes.machine import Machine, only_lambda

# Tells the truth, and has it edited by the lie that the first file is named for.
PROGRAM = """
import hashlib

def process(item, context):
    told = context.storage.write(item.bucket, item.output_prefix + "told", b"the truth", "text/plain")
    return StepResult({"model": "test", "detections": []}, (told,))

def lies(manifest, prefix):
    outcomes = manifest["outcomes"]
    first, *others = outcomes
    (told,) = first["outputs"]

    def output(**changes):
        return {"outcomes": [{**first, "outputs": [{**told, **changes}]}, *others]}

    return {
        "missing": {"outcomes": others},
        "doubled": {"outcomes": [first, *outcomes]},
        "unasked": {"outcomes": [*outcomes, {**first, "item_id": "00000000-0000-4000-8000-000000000000"}]},
        "exchanged": {"outcomes": [{**first, "item_id": "00000000-0000-4000-8000-000000000000"}, *others]},
        "elsewhere": output(key="derived/x"),
        "digest": output(sha256="d41d8cd9"),
        "other digest": output(sha256=hashlib.sha256(b"a lie").hexdigest()),
        "other size": output(size_bytes=10),
        "no object": output(key=prefix + "x"),
        "whose": {"outcomes": [{**first, "correlation_id": "00000000-0000-4000-8000-000000000000"}, *others]},
        "nobody": {"outcomes": [{**first, "correlation_id": None}, *others]},
        "attempt": {"attempt_id": "an-earlier-one"},
        "batch": {"batch_id": "another"},
        "recipe": {"recipe": "cafecafecafe"},
        "nonsense": {"outcomes": [{**first, "result": {"detections": "many"}}, *others]},
    }

def edit(event, answer):
    first = event["request"]["items"][0]
    answer["manifest"].update(lies(answer["manifest"], first["output_prefix"])[first["key"].rsplit("/", 1)[1]])
    return answer
"""


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("doubled", "answered more than once for item"),
        ("exchanged", "answered without item"),
        ("other digest", "in the bucket; the manifest says"),
        ("no object", "is not in the bucket"),
    ],
)
def test_a_lie_appends_nothing_opens_the_breaker_and_fails_the_run(machine: Machine, lie: str, reason: str) -> None:
    fails_with(machine, lie, reason)


@only_lambda  # how a manifest is read is the same for both
@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("missing", "answered without item"),
        ("nonsense", "with a result that is not one"),
        ("unasked", "answered with unasked item 00000000-0000-4000-8000-000000000000"),
        ("elsewhere", "outside its prefix derived/"),
        ("digest", "malformed manifest: outcomes.0.outputs.0.sha256"),
        ("other size", "has 9 bytes in the bucket; the manifest says 10"),
        ("whose", "answered for correlation_id '00000000-0000-4000-8000-000000000000'"),
        ("nobody", "answered for correlation_id None"),
        ("attempt", "answered for attempt_id 'an-earlier-one'"),
        ("batch", "answered for batch_id 'another'"),
        ("recipe", "answered for recipe 'cafecafecafe'"),
    ],
)
def test_so_does_any_other_lie(machine: Machine, lie: str, reason: str) -> None:
    fails_with(machine, lie, reason)


def fails_with(machine: Machine, lie: str, reason: str) -> None:
    machine.batches_of(8)
    machine.deploy(PROGRAM)
    machine.upload(lie, "a", "b")
    run = machine.run()
    assert run.failure is not None
    assert run.failure.startswith("ManifestError")
    assert reason in run.failure
    assert machine.outcomes() == []
    breaker = machine.breaker()
    assert breaker is not None
    assert breaker.failures == 1
    assert not machine.is_due()
    assert machine.owing() > 0  # it has cost something
    assert machine.parcels() == []
