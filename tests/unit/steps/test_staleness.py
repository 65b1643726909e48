"""What is missing, of an older recipe or dead: found, chosen, asked for, and gone once it is computed again."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from media_assets.eventlog.events import NewEvent
from media_assets.eventlog.store import EventStore
from media_assets.settings import Settings
from media_assets.steps.catalogue import STEPS
from media_assets.steps.estimates import Estimate, Measured, estimate, estimate_now
from media_assets.steps.pending import due_work
from media_assets.steps.period import EVER, Period
from media_assets.steps.reprocess import request_reprocessing
from media_assets.steps.staleness import Choice, Staleness, chosen, staleness
from tests.unit.eventlog.films import Film, Job
from tests.unit.eventlog.lives import HOUR, NOON, Life, steps

SETTINGS = Settings()
NOW = {name: step.recipe(SETTINGS).digest for name, step in STEPS.items()}
cat, dog = Life("uploads/ada/cat.jpg"), Life("uploads/ada/dog.jpg")
ANALYZE = STEPS["analyze"]


def done(life: Life, at: datetime = NOON, generation: int = 0, **recipes: str) -> list[NewEvent]:
    """An item's whole life by today's recipes, or those given."""
    recipes = {**NOW, **recipes}
    return [
        *([life.upload(at=at)] if generation == 0 else []),
        life.probed(recipe=recipes["probe"], generation=generation),
        life.thumbnails(recipe=recipes["thumbnail"], generation=generation),
        life.analysis(recipe=recipes["analyze"], generation=generation),
        life.embedding(recipe=recipes["embed"], generation=generation),
        life.detections(recipe=recipes["detect"], generation=generation),
    ]


def found(store: EventStore, settings: Settings = SETTINGS, step: str | None = None, period: Period = EVER) -> Staleness:
    with store.engine.connect() as connection:
        return staleness(connection, settings, step=step, period=period)


def choose(store: EventStore, choice: Choice, step: str | None = None, before: datetime | None = None) -> dict[str, list[Life]]:
    """Items by the steps they would take."""
    with store.engine.connect() as connection:
        every = chosen(connection, SETTINGS, choice, step=step, before=before)
    lives = {life.item_id: life for life in (cat, dog)}
    return {" ".join(names): [lives[item_id] for item_id in ids] for names, ids in every.items()}


def test_of_a_video_its_own_steps_are_stale_and_of_a_frame_those_of_a_picture(store: EventStore) -> None:
    film = Film()
    store.append([film.upload(), film.probed(recipe=NOW["probe"]), *film.watched(recipe=NOW["frames"]), film.segmented()])
    store.append(Job(film).done())
    poster, other = (film.frame(time, recipe=NOW["frames"]) for time in (480, 4000))
    store.append([poster.thumbnails("f1"), other.thumbnails("f1", recipe=NOW["thumbnail"])])
    stale = {(item.item_id, item.step, item.reason) for item in found(store).items}
    assert stale == {
        (film.item_id, "segment", "recipe"),
        (poster.item_id, "thumbnail", "recipe"),
        *((frame.item_id, step, "missing") for frame in (poster, other) for step in ("detect", "analyze", "embed")),
    }
    with store.engine.connect() as connection:
        frames = chosen(connection, SETTINGS, "stale", step="thumbnail")
    assert frames == {("thumbnail", "analyze", "embed", "detect"): [poster.item_id]}

    store.append(film.watched(times=(0,), recipe=NOW["frames"], generation=1))
    assert not {poster.item_id, other.item_id} & {item.item_id for item in found(store).items}


def test_another_recipe_makes_exactly_the_results_of_the_older_one_stale_until_they_are_computed_again(
    store: EventStore,
) -> None:
    pending, dead, rejected, removed, replaced = (Life(f"uploads/ada/{n}.jpg") for n in range(5))
    store.append([*done(cat, analyze="older"), *done(dog)])
    store.append([event for life in (pending, dead, rejected, removed, replaced) for event in done(life)[:3]])
    store.append([dead.abandoned("analyze", recipe="older"), rejected.rejected(step="analyze", recipe="older")])
    store.append(
        [removed.analysis(recipe="older"), removed.removed(), replaced.analysis(recipe="older"), replaced.upload("v2")]
    )
    stale = [item for item in found(store).items if item.reason == "recipe"]
    assert [(item.item_id, item.key, item.step, item.recipe, item.current_recipe) for item in stale] == [
        (cat.item_id, cat.key, "analyze", "older", NOW["analyze"])
    ]
    with store.engine.connect() as connection:
        assert {due.hour for due in due_work(connection, SETTINGS)} == {HOUR}  # for the pending ones
    assert steps(store, cat)["analyze"] == "done"

    assert choose(store, "stale") == {"analyze embed": [cat]}
    request_reprocessing(store, [cat.item_id], ["analyze", "embed"], reason="a better model")
    assert steps(store, cat)["analyze"] == "pending"
    assert choose(store, "stale") == {}
    assert {(item.step, item.reason) for item in found(store).items if item.item_id == cat.item_id} == {
        ("analyze", "missing"),
        ("embed", "missing"),
    }
    store.append([cat.analysis(recipe=NOW["analyze"], generation=1), cat.embedding(recipe=NOW["embed"], generation=1)])
    assert [item for item in found(store).items if item.item_id == cat.item_id] == []


def test_an_upgrade_lists_everything_and_starts_nothing(store: EventStore) -> None:
    store.append([*done(cat), *done(dog)])
    assert found(store) == Staleness({}, [])
    assert found(store, Settings(thumbnail_quality=50)).totals == {("thumbnail", "recipe"): 2}
    with store.engine.connect() as connection:
        assert due_work(connection, Settings(thumbnail_quality=50)) == []


def test_missing_is_what_the_item_will_still_take(store: EventStore) -> None:
    rejected, fresh = Life("uploads/ada/rejected.jpg"), Life("uploads/ada/fresh.jpg")
    store.append([fresh.upload(), rejected.upload(), rejected.rejected(), *done(cat)[:3]])
    assert found(store).totals == dict.fromkeys([(name, "missing") for name in ("probe", "analyze", "embed", "detect")], 1)
    assert [item.item_id for item in found(store, step="probe").items] == [fresh.item_id]


def test_a_result_that_waits_for_an_earlier_step_is_not_missing(store: EventStore) -> None:
    store.append([*done(cat), cat.reprocess("analyze")])
    assert steps(store, cat).keys() == {"probe", "thumbnail", "analyze", "detect"}
    assert found(store).totals == {("analyze", "missing"): 1}


def test_dead_is_what_was_given_up_until_somebody_asks(store: EventStore) -> None:
    store.append([*done(cat)[:3], cat.failed("analyze"), cat.abandoned("analyze"), done(cat)[-1], *done(dog)])
    assert found(store).totals == {("analyze", "dead"): 1, ("embed", "missing"): 1}
    assert choose(store, "dead") == {"analyze embed": [cat]}
    assert choose(store, "dead", "thumbnail") == {}
    request_reprocessing(store, [cat.item_id], ["analyze"], reason="it is mended")
    assert choose(store, "dead") == {}


def test_all_is_every_result_that_was_there_before(store: EventStore) -> None:
    store.append([*done(cat), dog.upload(), dog.rejected(recipe="older")])
    everything = "probe thumbnail analyze embed detect"
    assert choose(store, "all") == {everything: [cat], "probe": [dog]}  # what the dog is nobody knows
    assert choose(store, "all", "embed") == {"embed": [cat]}
    assert choose(store, "all", before=NOON) == {}
    assert choose(store, "all", "embed", before=NOON + timedelta(seconds=1)) == {"embed": [cat]}


def test_several_reasons_of_an_item_are_one_choice(store: EventStore) -> None:
    store.append([*done(cat, thumbnail="older", embed="older"), *done(dog, embed="older")])
    assert choose(store, "stale") == {"thumbnail analyze embed detect": [cat], "embed": [dog]}


def test_hours_and_pages(store: EventStore) -> None:
    lives = [Life(f"uploads/ada/{n}.jpg") for n in range(4)]
    store.append([event for n, life in enumerate(lives) for event in done(life, NOON + timedelta(hours=n), embed="older")])
    middle = Period(HOUR + timedelta(hours=1), HOUR + timedelta(hours=2))
    assert [item.item_id for item in found(store, period=middle).items] == [life.item_id for life in lives[1:3]]
    assert found(store, period=Period(first=HOUR + timedelta(hours=3))).totals == {("embed", "recipe"): 1}
    with store.engine.connect() as connection:
        page = staleness(connection, SETTINGS, limit=2, offset=1)
    assert [item.item_id for item in page.items] == [life.item_id for life in lives[1:3]]
    assert page.totals == {("embed", "recipe"): 4}


# Prices


PAID = Settings(model_provider="openai")


@pytest.mark.parametrize(
    ("settings", "this_recipe", "other_recipes", "expected"),
    [
        (SETTINGS, Measured(3, 10), Measured(1, 99), Estimate(4, "this_recipe")),
        (SETTINGS, Measured(), Measured(2, 10), Estimate(5, "other_recipes")),
        (SETTINGS, Measured(), Measured(), Estimate(ANALYZE.most_micro_dollars(SETTINGS), "at_most")),
        (PAID, Measured(2, 5000), Measured(), Estimate(2500, "this_recipe")),
        (PAID, Measured(), Measured(2, 10), Estimate(ANALYZE.most_micro_dollars(PAID), "at_most")),
        (SETTINGS, Measured(5, 0), Measured(), Estimate(0, "this_recipe")),
    ],
)
def test_the_price_is_measured_or_a_bound(
    settings: Settings, this_recipe: Measured, other_recipes: Measured, expected: Estimate
) -> None:
    assert estimate(ANALYZE, settings, this_recipe=this_recipe, other_recipes=other_recipes) == expected


def test_the_log_is_what_prices_are_measured_by(store: EventStore) -> None:
    def price(settings: Settings = SETTINGS) -> Estimate:
        with store.engine.connect() as connection:
            return estimate_now(connection, ANALYZE, settings)

    def costing(event: NewEvent, micro_dollars: int, tokens: int = 0) -> NewEvent:
        return event.model_copy(update={"micro_dollars": micro_dollars, "tokens_in": tokens})

    assert price().source == "at_most"
    store.append([*done(cat)[:3], costing(cat.failed("analyze"), 100), costing(cat.analysis(recipe="older"), 200)])
    assert price() == Estimate(300, "other_recipes")
    assert price(PAID).source == "at_most"
    store.append([*done(dog)[:3], costing(dog.analysis(recipe=NOW["analyze"]), 41)])
    assert price() == Estimate(41, "this_recipe")
