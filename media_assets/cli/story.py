"""How events are told: as JSON, a line each, or as the tree of what led to what. Runs are links to the Dagster UI."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rich.cells import cell_len
from rich.text import Text

from media_assets.cli.output import counted, cut_text, money_text, out, plain, print_line, print_table, time_text
from media_assets.eventlog.catalogue import (
    FrameReceived,
    FramesExtracted,
    ItemErased,
    JobCancelled,
    JobFailed,
    JobProgressed,
    JobSubmitted,
    PayloadErased,
    ReprocessRequested,
    SpendingResumed,
    SpendingStopped,
    StepAbandoned,
    StepFailed,
    TextVaried,
    UploadReceived,
    UploadRejected,
    VideoSegmented,
)
from media_assets.eventlog.events import Event
from media_assets.eventlog.story import Told

_SHORT = 8
"""Characters of a run or attempt id that a person sees."""
_NOT_SHOWN = {"payload", "expected_version", "payload_sha256", "hash"}
_COLUMNS = ("event", "when (UTC)", "after", "step", "ms", "cost", "target", "why", "attempt", "run")
_HEADER = [Text(name, "dim") for name in _COLUMNS]
_TO_THE_RIGHT = {"after", "ms", "cost"}
_STYLES = {
    "UploadRejected": "yellow",
    "StepFailed": "yellow",
    "StepAbandoned": "red",
    "ItemErased": "red",
    "JobFailed": "red",
    "JobCancelled": "yellow",
}


def run_url(run_id: str | None, dagster_url: str | None) -> str | None:
    """Where a run opens in the Dagster UI; None where there is no run, or no UI is known."""
    return f"{dagster_url.rstrip('/')}/runs/{run_id}" if run_id and dagster_url else None


def event_json(event: Event, dagster_url: str | None) -> dict[str, Any]:
    """An event as a JSON value; hashes are hex, an erased payload is null."""
    return {
        **event.model_dump(mode="json", exclude=_NOT_SHOWN),
        "payload_sha256": event.payload_sha256.hex(),
        "hash": event.hash.hex(),
        "run_url": run_url(event.run_id, dagster_url),
        "payload": None if isinstance(event.payload, PayloadErased) else event.payload.model_dump(mode="json"),
    }


def told_json(told: Told, dagster_url: str | None) -> dict[str, Any]:
    """An event with its place in the tree."""
    after = told.after
    return {
        **event_json(told.event, dagster_url),
        "depth": told.depth,
        "seconds_after_cause": None if after is None else after.total_seconds(),
    }


def print_events(title: str, history: Sequence[Event], dagster_url: str | None) -> None:
    """A row an event, as they came."""
    print_table(
        title,
        ("#", "when (UTC)", "event", "step", "recipe", "ms", "target", "why", "Dagster run"),
        [
            (
                event.version,
                f"{event.occurred_at:%Y-%m-%d %H:%M:%S}",
                event.type,
                event.step,
                event.recipe,
                event.milliseconds or "",
                event.target,
                event.target_reason,
                _run(event, dagster_url),
            )
            for event in history
        ],
    )


def print_story(stories: Sequence[Told], dagster_url: str | None) -> None:
    """The tree, a line an event with what there is to say of it beneath, and the runs with their addresses. Reports of a job's
    progress that follow one another are one line."""
    lines = folded(stories)
    guides = guides_of([told.depth for told, _ in lines])
    rows = [_row(told, times, guide, dagster_url) for (told, times), (guide, _) in zip(lines, guides, strict=True)]
    widths = [max(cell_len(row[column].plain) for row in [*rows, _HEADER]) for column in range(len(_COLUMNS))]
    _print_row(_HEADER, widths)
    for (told, times), row, (_, below) in zip(lines, rows, guides, strict=True):
        if told.depth == 0:
            out.print(_line(_heading(told.event), "bold"))
        _print_row(row, widths)
        if remark := _remark(told.event, times):
            out.print(Text.assemble((below, "dim"), _line(remark)))
    _print_runs(stories, dagster_url)


def folded(stories: Sequence[Told]) -> list[tuple[Told, int]]:
    """The lines of a tree: an event each, but JobProgressed that follow one another under one cause and of one attempt are the
    last of them, with their number."""
    lines: list[tuple[Told, int]] = []
    for told in stories:
        if lines and _continues(told, lines[-1][0]):
            lines[-1] = (told, lines[-1][1] + 1)
        else:
            lines.append((told, 1))
    return lines


def _continues(told: Told, before: Told) -> bool:
    one, other = told.event, before.event
    return one.type == other.type == JobProgressed.type and told.cause is before.cause and one.attempt_id == other.attempt_id


def guides_of(depths: Sequence[int]) -> list[tuple[str, str]]:
    """For each line of a tree, given how deep they are in their order: what stands before it, and before what is added
    beneath it."""
    guides: list[tuple[str, str]] = []
    continued: set[int] = set()  # depths at which the tree goes on further down
    for depth in reversed(depths):
        bars = "".join("│  " if level in continued else "   " for level in range(1, depth))
        joint = ("├─ " if depth in continued else "└─ ") if depth else ""
        bar = ("│  " if depth in continued else "   ") if depth else ""
        below = "│  " if depth + 1 in continued else "   "
        guides.append((bars + joint, bars + bar + below))
        continued = {level for level in continued if level < depth} | {depth}
    return guides[::-1]


def span_text(span: timedelta) -> str:
    """`0:00:01.25` as `1.2 s`; the unit grows with the span."""
    seconds = span.total_seconds()
    for limit, unit, digits, size in ((10, "s", 1, 1), (120, "s", 0, 1), (7200, "min", 0, 60), (172_800, "h", 0, 3600)):
        if abs(seconds) < limit:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds / 86_400:.0f} d"


def _row(told: Told, times: int, guide: str, dagster_url: str | None) -> list[Text]:
    event, after = told.event, told.after
    cells = (
        "" if after is None else span_text(after),
        event.step or "",
        str(event.milliseconds or ""),
        money_text(event.micro_dollars) if event.target or event.micro_dollars else "",
        event.target or "",
        event.target_reason or "",
        (event.attempt_id or "")[:_SHORT],
    )
    return [
        Text.assemble((guide, "dim"), plain(event.type + f" ×{times}" * (times > 1), _STYLES.get(event.type, ""))),
        plain(f"{event.occurred_at:%m-%d %H:%M:%S}"),
        *map(plain, cells),
        _run(event, dagster_url),
    ]


def _print_row(row: Sequence[Text], widths: Sequence[int]) -> None:
    line = Text()
    for name, cell, width in zip(_COLUMNS, row, widths, strict=True):
        padding = " " * (width - cell_len(cell.plain))
        line += Text(padding) + cell if name in _TO_THE_RIGHT else cell + Text(padding)
        line += Text("  ")
    line.rstrip()
    out.print(line)


def _line(text: str, style: str = "") -> Text:
    return plain(text.replace("\n", " "), style)


def _run(event: Event, dagster_url: str | None) -> Text:
    url = run_url(event.run_id, dagster_url)
    return Text((event.run_id or "")[:_SHORT], f"link {url}" if url else "")


def _heading(event: Event) -> str:
    payload = event.payload
    if isinstance(payload, UploadReceived):
        return f"{payload.key}  version {payload.version_id}  {event.occurred_at:%Y-%m-%d}"
    if isinstance(payload, FrameReceived):
        return (
            f"{payload.key}  at {time_text(payload.timecode_ms)} of item {payload.parent_item_id}  {event.occurred_at:%Y-%m-%d}"
        )
    if isinstance(payload, JobSubmitted):
        return f"job {event.job_id} on item {event.item_id}  {event.occurred_at:%Y-%m-%d}"
    erased = "  erased: of what was said, figures are left" if isinstance(payload, PayloadErased) else ""
    return f"{event.stream_id}  {event.occurred_at:%Y-%m-%d}{erased}"


def _remark(event: Event, times: int) -> str:
    """What a person wants to know besides the figures."""
    match event.payload:
        case UploadRejected() as rejected:
            return f"{rejected.code}: {rejected.message}"
        case StepFailed(retry_at=None) as failed:
            return f"{failed.code}: {failed.message}; not tried again"
        case StepFailed() as failed:
            return f"{failed.code}: {failed.message}; tried again from {failed.retry_at:%H:%M:%S} on"
        case StepAbandoned() as abandoned:
            return f"{abandoned.code}: given up after {counted(abandoned.failures, 'failure')}"
        case ReprocessRequested() as request:
            return f"generation {event.generation}: {request.reason}"
        case SpendingStopped() as stop:
            spent, limit = money_text(stop.spent_micro_dollars), money_text(stop.limit_micro_dollars)
            return f"{spent} of the {limit} for {stop.day} are spent, too little is left for another {stop.step}"
        case SpendingResumed(reason=reason):
            return {"day": "another day has begun", "budget": "the budget allows more"}[reason]
        case FramesExtracted() as found:
            return f"{counted(len(found.frames), 'frame')} of {counted(found.shots, 'shot')}"
        case VideoSegmented() as cut:
            return f"{counted(len(cut.segments), 'segment')}, {cut.mode.replace('_', ' ')}"
        case JobSubmitted(options=options):
            return cut_text(options["cutting_options"])
        case JobProgressed() as progress:
            return f"{progress.step}: {'up to ' * (times > 1)}{progress.percent} %"
        case JobFailed() as failed_job:
            return f"{failed_job.code}: {failed_job.message}"
        case TextVaried() as varied:
            return f"{counted(len(varied.texts), 'text')} by {varied.model}"
        case JobCancelled(reason=reason) | ItemErased(reason=reason):
            return reason
        case _:
            return ""


def _print_runs(stories: Sequence[Told], dagster_url: str | None) -> None:
    """For terminals without links, and for whoever copies from one."""
    if urls := dict.fromkeys(filter(None, (run_url(told.event.run_id, dagster_url) for told in stories))):
        print_line("")
        print_line("Dagster runs", "dim")
        for url in urls:
            print_line(f"  {url}")
