"""The steps there are, in Python and in SQL, and the recipes that tell their results apart."""

from __future__ import annotations

from decimal import Decimal

import pytest

from infra.steps import STEPS as FUNCTIONS
from lambdas.embed.handler import MAX_CHARACTERS
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.catalogue import PIPELINES, STEPS, steps_before, with_dependents
from media_assets.steps.prices import fargate_task, lambda_invocation
from media_assets.steps.step import Recipe
from tests.unit.eventlog.lives import rows


def test_the_database_and_the_catalogue_agree_on_the_steps(store: EventStore) -> None:
    """The fold of `steps` decides in SQL what is due; nothing else would notice a step that only one side knows."""

    graph = rows(store, "SELECT * FROM step_graph()")
    of_media = [(row["step"], row["kind"], row["after"]) for row in graph if row["kind"] not in {"job", "varied_job"}]
    assert sorted(of_media, key=str) == sorted(
        (
            (name, kind if name != "probe" else None, [before for before in steps_before(name) if kind in STEPS[before].kinds])
            for name, step in STEPS.items()
            for kind in (step.kinds if name != "probe" else ("image",))
        ),
        key=str,
    )
    of_jobs = {(row["step"], row["kind"], *row["after"]) for row in graph if row["kind"] in {"job", "varied_job"}}
    assert of_jobs == {("segment", "job"), ("vary", "varied_job"), ("segment", "varied_job", "vary")}


def test_the_pipelines() -> None:
    described = {
        name: [(step.name, step.asset, step.upstream, step.targets) for step in steps] for name, steps in PIPELINES.items()
    }
    assert described == {
        "image": [
            ("probe", "media_info", None, ("lambda",)),
            ("thumbnail", "thumbnails", "probe", ("lambda",)),
            ("analyze", "analyses", "thumbnail", ("lambda",)),
            ("embed", "embeddings", "analyze", ("lambda",)),
        ],
        "detection": [("detect", "detections", "thumbnail", ("ecs", "lambda"))],
        "text": [("vary", "overlay_texts", "probe", ("lambda",))],
        "video": [
            ("frames", "video_frames", "probe", ("ecs", "lambda")),
            ("segment", "video_segments", "probe", ("ecs", "lambda")),
        ],
    }
    assert [step.breaker(target) for step in STEPS.values() for target in step.targets] == [
        *("probe", "thumbnail", "analyze", "embed"),
        *("detect@ecs", "detect"),
        *("vary", "frames@ecs", "frames", "segment@ecs", "segment"),
    ]
    assert [step.name for step in STEPS.values() if step.gathers] == ["detect"]


def test_a_step_comes_with_everything_computed_from_it() -> None:
    assert with_dependents("probe") == [*("probe", "thumbnail", "analyze", "embed", "detect"), *("vary", "frames", "segment")]
    assert with_dependents("analyze") == ["analyze", "embed"]
    assert with_dependents("embed") == ["embed"]
    with pytest.raises(KeyError):
        with_dependents("blur")


def test_a_recipe_is_its_step_version_and_parameters_in_whichever_order() -> None:
    recipe = Recipe("thumbnail", 1, {"sizes": [256], "quality": 80})
    assert recipe.digest == Recipe("thumbnail", 1, {"quality": 80, "sizes": [256]}).digest
    others = [
        Recipe("analyze", 1, recipe.parameters),
        Recipe("thumbnail", 2, recipe.parameters),
        Recipe("thumbnail", 1, {"sizes": [256], "quality": 81}),
        Recipe("thumbnail", 1, {"sizes": ["256"], "quality": 80}),
    ]
    assert len({recipe.digest, *(other.digest for other in others)}) == 5
    assert len(recipe.digest) == 12


def test_what_changes_a_result_is_in_its_recipe_and_what_only_bounds_it_is_not() -> None:
    def changed(**fields: object) -> set[str]:
        return {
            step.name
            for step in STEPS.values()
            if step.recipe(Settings(**fields)).digest != step.recipe(Settings()).digest  # type: ignore[arg-type]
        }

    assert changed(thumbnail_quality=60) == changed(thumbnail_method=6) == {"thumbnail"}
    assert changed(thumbnail_sizes_px=(256,)) == {"thumbnail", "detect"}  # which looks at another size then
    assert changed(detect_input_px=256) == changed(detect_min_confidence=0.5) == {"detect"}
    assert changed(analyze_model="other") == changed(analyze_input_px=256) == {"analyze"}
    assert changed(embed_dimensions=128) == changed(embed_model="other") == {"embed"}
    assert changed(model_base_url="http://127.0.0.1:1/v1") == {"analyze", "embed", "vary"}
    assert changed(frames_per_minute=1) == changed(frames_max_side_px=640) == {"frames"}
    assert changed(segment_exact=True) == changed(segment_crf=30) == changed(segment_preset="fast") == {"segment"}
    assert changed(max_pixels=1, max_upload_bytes=1, model_timeout_seconds=1, lease_seconds=1, stage="dev") == set()
    assert changed(ecs_min_items=1, ecs_max_items=1, ecs_gather_seconds=1) == set()


def test_functions_are_billed_by_the_size_and_time_limit_that_they_are_deployed_with() -> None:
    assert {step.name: (step.memory_mb, step.timeout_seconds) for step in STEPS.values()} == {
        function.name: (function.memory_mb, function.timeout_seconds) for function in FUNCTIONS
    }
    tasks = {step.name: (step.task.vcpus, step.task.memory_mb) for step in STEPS.values() if step.task}
    assert tasks == {each.name: (each.task.vcpus, each.task.memory_mb) for each in FUNCTIONS if each.task}


def test_a_step_of_several_targets_costs_at_most_what_the_dearest_does() -> None:
    detect, settings = STEPS["detect"], Settings()
    task = fargate_task(settings, seconds=Decimal(900), vcpus=Decimal(1), memory_mb=2048)
    assert detect.most_micro_dollars(settings) == task == 12_343
    dear = Settings(lambda_gb_second_dollars=Decimal(1))
    assert detect.most_micro_dollars(dear) == lambda_invocation(dear, milliseconds=300_000, memory_mb=2048)


def test_only_steps_that_may_ask_a_hosted_model_take_tokens() -> None:
    for provider, models in (("local", [None, None]), ("openai", ["gpt-4.1-mini", "text-embedding-3-small"])):
        settings = Settings(model_provider=provider)
        hosted = [step.hosted_model(settings) for step in STEPS.values()]
        assert hosted == [None, None, *models, None, models[0], None, None]
    asking = [name for name, step in STEPS.items() if step.calls_model]
    assert asking == [name for name, step in STEPS.items() if any(step.most_tokens(Settings()))] == ["analyze", "embed", "vary"]


def test_an_analysis_is_cut_off_where_its_reservation_ends() -> None:
    settings = Settings(model_provider="openai", analyze_max_answer_tokens=1234)
    assert STEPS["analyze"].limits(settings)["max_answer_tokens"] == STEPS["analyze"].most_tokens(settings)[1] == 1234


def test_no_text_that_is_embedded_has_more_tokens_than_its_reservation() -> None:
    most, _ = STEPS["embed"].most_tokens(Settings())
    assert most >= len(("\U0001f600" * MAX_CHARACTERS).encode()) + 2
