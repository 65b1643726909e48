"""How the command line tells a history: as a tree with links for people, as JSON for machines."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from media_assets.cli import story
from media_assets.cli.story import (
    event_json,
    folded,
    guides_of,
    print_events,
    print_story,
    run_url,
    span_text,
    told_json,
)
from media_assets.eventlog.catalogue import PayloadErased
from media_assets.eventlog.events import Event
from media_assets.eventlog.story import tell
from tests.unit.eventlog.films import Job
from tests.unit.eventlog.lives import NOON, Life
from tests.unit.eventlog.test_story import because, stored

DAGSTER = "http://127.0.0.1:3000"


TREE = """\
event                           when (UTC)      after  step       ms       cost  target  why          attempt   run
uploads/ada/cat.jpg  version v1  2026-07-01
UploadReceived                  07-01 12:20:00
└─ MediaProbed                  07-01 12:20:01  1.0 s  probe      12  $0.000000  lambda  only_target            run-1
   └─ StepFailed                07-01 12:20:02  1.0 s  thumbnail  12  $0.000000  lambda  only_target  5f3a0c1d  run-1
      │  timeout: timeout in 5f3a0c1d-attempt; tried again from 12:20:00 on
      └─ ThumbnailCreated       07-01 12:20:03  1.0 s  thumbnail  12  $0.001250  ecs     many_items             run-1
         └─ ReprocessRequested  07-01 12:20:04  1.0 s  thumbnail
            │  generation 1: somebody asked
            └─ UploadRejected   07-01 12:20:05  1.0 s  thumbnail  12  $0.000000  lambda                         run-1
                  corrupt: it is corrupt

Dagster runs
  http://127.0.0.1:3000/runs/run-1
"""


def history() -> list[Event]:
    """A photo whose thumbnails failed once and were asked for anew later."""
    cat = Life()
    upload = cat.upload()
    probed = because(cat.probed(), of=upload)
    failed = because(cat.failed("thumbnail", attempt="5f3a0c1d-attempt", retry_at=NOON), of=probed)
    thumbnails = because(cat.thumbnails(), of=failed).model_copy(
        update={"micro_dollars": 1_250, "target": "ecs", "target_reason": "many_items"}
    )
    request = because(cat.reprocess("thumbnail"), of=thumbnails)
    rejected = because(cat.rejected(step="thumbnail", generation=1), of=request).model_copy(update={"target_reason": None})
    told = [upload, probed, failed, thumbnails, request, rejected]
    return stored(*(event.model_copy(update={"occurred_at": NOON + timedelta(seconds=n)}) for n, event in enumerate(told)))


def erased(events: list[Event]) -> list[Event]:
    return [event.model_copy(update={"payload": PayloadErased()}) for event in events]


def test_the_tree_is_a_line_an_event_with_what_there_is_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    print_story(tell(history()), DAGSTER)
    assert capsys.readouterr().out == TREE


def test_reports_of_progress_that_follow_one_another_are_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    job = Job()
    first = [job.started(), *(job.progressed(percent) for percent in (5, 40, 95))]
    second = [job.started("a2"), job.progressed(10, "a2"), job.segmented(), job.completed()]
    events = stored(job.submitted(), *first, job.attempt_failed(), *second)
    print_story(tell(events), None)
    lines = [line.strip("├└─│ ").rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [line.split("  ")[0] for line in lines if line.startswith("Job")] == [
        "JobSubmitted",
        "JobStarted",
        "JobProgressed ×3",
        "JobStarted",
        "JobProgressed",
        "JobCompleted",
    ]
    assert [line for line in lines if line.startswith("segment: ")] == ["segment: up to 95 %", "segment: 10 %"]


def test_progress_of_two_attempts_is_two_lines() -> None:
    job = Job()
    stories = tell(stored(job.submitted(), job.progressed(5), job.progressed(10), job.progressed(5, "a2")))
    assert [(told.event.payload, times) for told, times in folded(stories)][1:] == [
        (job.progressed(10).payload, 2),
        (job.progressed(5).payload, 1),
    ]
    assert len(stories) == 4


def test_hostile_keys_and_messages_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = Life("uploads/ada/[red]\x1b[2J\nx.jpg")
    upload = hostile.upload()
    rejected = because(hostile.rejected(code="[/red]\x1b]8;;evil\n  two"), of=upload)
    print_story(tell(stored(upload, rejected)), None)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "uploads/ada/[red]\\x1b[2J x.jpg" in printed
    assert "[/red]\\x1b]8;;evil   two" in printed


def test_erased_payloads_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    events = erased(history())
    print_story(tell(events), None)
    printed = capsys.readouterr().out
    assert f"{events[0].stream_id}  2026-07-01  erased: of what was said, figures are left\n" in printed
    assert "uploads/" not in printed
    assert [each["payload"] for each in (event_json(event, None) for event in events)] == [None] * len(events)


def test_a_list_says_where_each_outcome_was_computed_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    print_events("cat", history(), None)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    shown = {line[3]: line[4:] for line in lines if len(line) > 3}
    assert shown["ThumbnailCreated"] == ["thumbnail", "r1", "12", "ecs", "many_items", "run-1"]
    assert shown["UploadReceived"] == []


def test_a_run_is_a_link_that_opens_in_the_ui(monkeypatch: pytest.MonkeyPatch) -> None:
    for print_them in (lambda: print_story(tell(history()), DAGSTER), lambda: print_events("cat", history(), DAGSTER)):
        terminal = Console(file=io.StringIO(), force_terminal=True, width=200, highlight=False, markup=False)
        monkeypatch.setattr(story, "out", terminal)
        monkeypatch.setattr("media_assets.cli.output.out", terminal)
        print_them()
        assert f";{DAGSTER}/runs/run-1\x1b\\" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_where_a_run_opens() -> None:
    assert run_url("a-run", "http://host:1/") == "http://host:1/runs/a-run"
    assert run_url("a-run", None) is None
    assert run_url(None, DAGSTER) is None


def test_json_has_every_clear_column_and_where_the_run_opens() -> None:
    event = history()[3]
    told = json.loads(json.dumps(event_json(event, DAGSTER)))
    assert set(told) == set(Event.model_fields) - {"expected_version"} | {"run_url"}
    assert (told["payload_sha256"], told["hash"]) == ("00" * 32, "00" * 32)
    assert (told["target"], told["target_reason"]) == ("ecs", "many_items")
    assert (told["micro_dollars"], told["run_url"]) == (1_250, f"{DAGSTER}/runs/run-1")
    assert told["correlation_id"] == str(history()[0].event_id)
    assert told["payload"]["placeholder"]


def test_json_of_a_tree_is_the_same_events_with_their_place() -> None:
    told = [told_json(each, DAGSTER) for each in tell(history())]
    assert [each["depth"] for each in told] == [0, 1, 2, 3, 4, 5]
    assert [each["seconds_after_cause"] for each in told] == [None, 1.0, 1.0, 1.0, 1.0, 1.0]
    for each, event in zip(told, history(), strict=True):
        assert each.items() >= event_json(event, DAGSTER).items()


def test_guides() -> None:
    guides = guides_of([0, 1, 2, 2, 1, 0, 1])
    assert [before for before, _ in guides] == ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ ", "", "└─ "]
    assert [beneath for _, beneath in guides] == ["│  ", "│  │  ", "│  │     ", "│        "[:9], "      ", "│  ", "      "]


@given(st.lists(st.integers(0, 5), max_size=20))
def test_every_bar_begins_below_a_joint_and_ends_in_one(wanted: list[int]) -> None:
    depths: list[int] = []
    for depth in wanted:
        depths.append(min(depth, depths[-1] + 1) if depths else 0)
    before = [guide for guide, _ in guides_of(depths)]
    assert [len(guide) // 3 for guide in before] == depths
    for line, guide in enumerate(before):
        for column, character in enumerate(guide):
            if character in "│├":
                assert before[line + 1][column] in "│├└"
            if character in "├└" and depths[line - 1] == depths[line]:
                assert before[line - 1][column] == "├"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (1.26, "1.3 s"),
        (-0.5, "-0.5 s"),
        (61, "61 s"),
        (600, "10 min"),
        (3 * 3600, "3 h"),
        (5 * 86_400, "5 d"),
    ],
)  # fmt: skip
def test_spans(seconds: float, text: str) -> None:
    assert span_text(timedelta(seconds=seconds)) == text
