"""The steps there are, in Python and in SQL, and the recipes that tell their results apart."""

from __future__ import annotations

import pytest

from infra.steps import STEPS as FUNCTIONS
from lambdas.embed.handler import MAX_CHARACTERS
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.catalogue import IMAGE_PIPELINE, STEPS, with_dependents
from media_assets.steps.step import Recipe
from tests.unit.eventlog.lives import rows


def test_the_database_and_the_catalogue_agree_on_the_steps(store: EventStore) -> None:
    """The fold of `steps` decides in SQL what is due; nothing else would notice a step that only one side knows."""

    def before(name: str) -> list[str]:
        upstream = STEPS[name].upstream
        return [] if upstream is None else [*before(upstream), upstream]

    graph = {row["step"]: row["after"] for row in rows(store, "SELECT * FROM step_graph()")}
    assert graph == {name: before(name) for name in STEPS}


def test_the_pipeline_is_probe_thumbnail_analyze_embed() -> None:
    assert [(step.name, step.asset, step.upstream) for step in IMAGE_PIPELINE] == [
        ("probe", "media_info", None),
        ("thumbnail", "thumbnails", "probe"),
        ("analyze", "analyses", "thumbnail"),
        ("embed", "embeddings", "analyze"),
    ]


def test_a_step_comes_with_everything_computed_from_it() -> None:
    assert with_dependents("probe") == ["probe", "thumbnail", "analyze", "embed"]
    assert with_dependents("analyze") == ["analyze", "embed"]
    assert with_dependents("embed") == ["embed"]
    with pytest.raises(KeyError):
        with_dependents("detect")


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
            for step in IMAGE_PIPELINE
            if step.recipe(Settings(**fields)).digest != step.recipe(Settings()).digest  # type: ignore[arg-type]
        }

    assert changed(thumbnail_quality=60) == changed(thumbnail_sizes_px=(256,)) == changed(thumbnail_method=6) == {"thumbnail"}
    assert changed(analyze_model="other") == changed(analyze_input_px=256) == {"analyze"}
    assert changed(embed_dimensions=128) == changed(embed_model="other") == {"embed"}
    assert changed(model_base_url="http://127.0.0.1:1/v1") == {"analyze", "embed"}
    assert changed(max_pixels=1, max_upload_bytes=1, model_timeout_seconds=1, lease_seconds=1, stage="dev") == set()


def test_functions_are_billed_by_the_size_and_time_limit_that_they_are_deployed_with() -> None:
    assert {step.name: (step.memory_mb, step.timeout_seconds) for step in STEPS.values()} == {
        function.name: (function.memory_mb, function.timeout_seconds) for function in FUNCTIONS
    }


def test_only_steps_that_may_ask_a_hosted_model_take_tokens() -> None:
    for provider, models in (("local", [None, None]), ("openai", ["gpt-4.1-mini", "text-embedding-3-small"])):
        settings = Settings(model_provider=provider)
        assert [step.hosted_model(settings) for step in STEPS.values()] == [None, None, *models]
    assert [step.calls_model for step in STEPS.values()] == [False, False, True, True]
    assert [any(step.most_tokens(Settings())) for step in STEPS.values()] == [False, False, True, True]


def test_an_analysis_is_cut_off_where_its_reservation_ends() -> None:
    settings = Settings(model_provider="openai", analyze_max_answer_tokens=1234)
    assert STEPS["analyze"].limits(settings)["max_answer_tokens"] == STEPS["analyze"].most_tokens(settings)[1] == 1234


def test_no_text_that_is_embedded_has_more_tokens_than_its_reservation() -> None:
    most, _ = STEPS["embed"].most_tokens(Settings())
    assert most >= len(("\U0001f600" * MAX_CHARACTERS).encode()) + 2
