"""The harness of `make bench`: pairs in turn, medians of ratios, goals, and a file that keeps what didn't run."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks.figure import Figure, Goal, compare, in_turn
from benchmarks.report import RESULTS, load, merge, plot, save, table

FIELDS = ["name", "variant", "unit", "ours", "against", "ratio", "goal", "met", "runs", "machine"]


def entry(name: str, variant: str = "v", ratio: float = 1.2, goal: Goal | None = None) -> dict[str, Any]:
    return Figure(name, variant, "events/s", ratio * 100, 100.0, ratio, goal, 3).entry()


def test_sides_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[tuple[str, int]] = []

    def side(name: str, figure: float) -> Any:
        def measure(number: int) -> float:
            calls.append((name, number))
            return figure + number

        return measure

    assert in_turn(2, side("a", 10), side("b", 20)) == [[11, 12], [21, 22]]
    assert calls == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_the_ratio_is_the_median_of_pairs_and_not_of_medians() -> None:
    figure = compare("append", "v", "events/s", [10, 40, 90], [10, 20, 300])
    assert (figure.ours, figure.against, figure.ratio, figure.runs) == (40, 20, 1.0, 3)


@pytest.mark.parametrize(
    ("goal", "ratio", "met"),
    [
        (Goal("≥", 0.6), 0.6, True),
        (Goal("≥", 0.6), 0.59, False),
        (Goal("≤", 1.1), 1.1, True),
        (Goal("≤", 1.1), 1.2, False),
        (None, 0.1, None),
    ],
)
def test_a_goal_is_a_bound_on_the_ratio(goal: Goal | None, ratio: float, met: bool | None) -> None:
    assert entry("append", ratio=ratio, goal=goal)["met"] is met


def test_an_entry_has_the_documented_fields_and_three_digits() -> None:
    told = Figure("append", "v", "events/s", 12_345.6, 0.012345, 1.0, Goal("≥", 1.0), 5).entry()
    assert list(told) == FIELDS
    assert (told["ours"], told["against"], told["ratio"], told["goal"]) == (12_300, 0.0123, 1, "≥ 1.0")
    assert {"cores", "system", "load", "versions"} <= set(told["machine"])
    assert json.loads(json.dumps(told)) == told


def test_a_run_replaces_its_own_figures_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    save([entry("append", "old"), entry("replay", "kept")], path)
    save(merge(load(path), [entry("append", "new 1"), entry("append", "new 2")]), path)
    assert [each["variant"] for each in load(path)] == ["new 1", "new 2", "kept"]
    assert load(tmp_path / "none.json") == []


def test_the_plot_has_a_bar_for_each_figure_and_marks_goals() -> None:
    svg = ElementTree.fromstring(plot([entry("append", "<1> & 2", 2.0, Goal("≥", 1.0)), entry("replay", ratio=0.5)]))
    rects = [(float(rect.get("x", 0)), rect.get("width")) for rect in svg.iter("{http://www.w3.org/2000/svg}rect")]
    (_, first), (mark, _), (_, second) = rects[1:]
    assert float(first or 0) == 4 * float(second or 0)
    assert mark == pytest.approx(470 + float(first or 0) / 2, abs=1.1)
    assert "append: <1> & 2" in {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}


def test_the_table_says_which_goals_are_not_met() -> None:
    console = Console(width=140, record=True)
    console.print(table([entry("append", "fast", 1.2, Goal("≥", 1.0)), entry("append", "slow", 0.8, Goal("≥", 1.0))]))
    met = {line.split()[1]: line.split()[-1] for line in console.export_text().splitlines()[1:]}
    assert met == {"fast": "yes", "slow": "no"}


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(SystemExit, match="no benchmark is called search; there are: append, replay"):
        main("append,search")


def test_the_results_in_the_project_are_readable() -> None:
    entries = load(RESULTS)
    assert {each["name"] for each in entries} >= {"append", "replay"}
    assert all(list(each) == FIELDS for each in entries)
