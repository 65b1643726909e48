"""Cutting a video: the command `segment`, which plans, submits a job and follows it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from media_assets.cli import connection
from media_assets.cli.downloading import download, segments_of_job
from media_assets.cli.following import follow_job
from media_assets.cli.jobs import Out, print_ended
from media_assets.cli.output import (
    CommandError,
    Json,
    bytes_text,
    counted,
    err,
    exact_time_text,
    money_text,
    print_json,
    print_line,
    print_table,
)
from media_assets.cli.uploading import check_user, identify, put, wait_until_probed
from media_assets.cuts import Cut, FixedCut, RandomCut, ScenesCut
from media_assets.dispatch.quote import Quote, quote
from media_assets.eventlog.items import ItemNotFoundError, resolve
from media_assets.eventlog.jobs import describe_job
from media_assets.settings import Settings
from media_assets.steps.jobs import Video, find_video, plan_job, submit_segment_job
from media_assets.steps.segment_plan import JobOptions, SegmentPlan

_SHORTEST_SCENE, _LONGEST_SCENE = 2.0, 60.0


def segment(
    video: Annotated[str, typer.Argument(help="Item id, S3 key, or a file, which is uploaded first.")],
    fixed: Annotated[float | None, typer.Option(help="Segments of so many seconds.")] = None,
    random: Annotated[
        tuple[float, float] | None, typer.Option(metavar="MIN MAX", help="Random lengths between so many seconds.")
    ] = None,
    seed: Annotated[str, typer.Option(help="With --random: other words give other lengths, the same give the same.")] = "",
    scenes: Annotated[bool, typer.Option("--scenes", help="A segment a shot.")] = False,
    shortest: Annotated[
        float | None, typer.Option("--min", help=f"With --scenes: join shorter shots. Default: {_SHORTEST_SCENE:g} s.")
    ] = None,
    longest: Annotated[
        float | None, typer.Option("--max", help=f"With --scenes: divide longer shots. Default: {_LONGEST_SCENE:g} s.")
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Cut to the frame, which encodes anew. Otherwise at keyframes, where possible.")
    ] = False,
    text: Annotated[str | None, typer.Option(help="Written on every segment.")] = None,
    vary: Annotated[str | None, typer.Option(help="A chat model writes a variation of this on each segment.")] = None,
    context: Annotated[str | None, typer.Option(help="With --vary: what the model should know.")] = None,
    texts: Annotated[
        Path | None, typer.Option(help="A file with a text a line, one for each segment.", exists=True, dir_okay=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and its price. Stores nothing.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Submit, and don't wait for the end.")] = False,
    out: Out = None,
    user: Annotated[str, typer.Option(help="Whose upload a file is.")] = "me",
    timeout: Annotated[float, typer.Option(help="Give up waiting after this many seconds without progress.", min=1)] = 1200,
    as_json: Json = False,
) -> None:
    """Cut a video into segments, with a text on each if you like. Submits a job and follows it.

    Without --fixed, --random or --scenes it is cut as the settings say, by default every 10 seconds. Ctrl-C ends the waiting,
    not the job. Exit status 1 if the job fails.

    Examples: media-assets segment uploads/me/bikes.mp4 --fixed 10 --dry-run

              media-assets segment bikes.mp4 --random 2 5 --text "Summer sale" --out segments

              media-assets segment uploads/me/film.mkv --scenes --min 5 --exact
    """
    settings = connection.settings()
    options = _options(
        _cut(settings, fixed=fixed, random=random, seed=seed, scenes=scenes, shortest=shortest, longest=longest),
        exact=exact or settings.segment_exact,
        text_input=_text_input(text=text, vary=vary, context=context, texts=texts),
    )
    if detach and out is not None:
        raise CommandError(
            "--out waits for the segments, and --detach doesn't: media-assets job JOB_ID --out FOLDER comes later"
        )
    item_id = _item(video, user=user, dry_run=dry_run, timeout=timeout)
    if dry_run:
        with connection.store().engine.connect() as db:
            found = find_video(db, item_id)
        planned = plan_job(settings, found, options)
        priced = quote(settings, found, options, planned)
        if as_json:
            print_json(_plan_json(found, options, planned, priced))
        else:
            _print_plan(found, options, planned, priced)
        return
    job_id = submit_segment_job(connection.store(), settings, item_id, options).job_id
    if not detach:
        follow_job(connection.store().engine, job_id, timeout_seconds=timeout)
    with connection.store().engine.connect() as db:
        job = describe_job(db, job_id)
    paths = download(job["bucket"], segments_of_job(job), out) if out is not None and job["state"] == "completed" else []
    if as_json:
        print_json(job)
    elif detach:
        print_line(f"job {job_id} is submitted; media-assets job {job_id} tells how it goes")
    else:
        print_ended(job, paths)
    if not detach and job["state"] != "completed":
        raise typer.Exit(1)


def _cut(
    settings: Settings,
    *,
    fixed: float | None,
    random: tuple[float, float] | None,
    seed: str,
    scenes: bool,
    shortest: float | None,
    longest: float | None,
) -> dict[str, Any]:
    """The cut that the options mean, as JSON values."""
    if (fixed is not None) + (random is not None) + scenes > 1:
        raise CommandError("give one of --fixed, --random and --scenes")
    if not scenes and (shortest is not None or longest is not None):
        raise CommandError("--min and --max go with --scenes")
    if seed and random is None:
        raise CommandError("--seed goes with --random")
    if fixed is not None:
        return {"type": "fixed", "duration_seconds": fixed}
    if random is not None:
        return {"type": "random", "min_duration": random[0], "max_duration": random[1], "seed": seed}
    if scenes:
        least = min(_SHORTEST_SCENE, longest or _SHORTEST_SCENE) if shortest is None else shortest
        most = max(_LONGEST_SCENE, least) if longest is None else longest
        return {"type": "scenes", "min_duration": least, "max_duration": most}
    return settings.segment_cut.model_dump()


def _text_input(*, text: str | None, vary: str | None, context: str | None, texts: Path | None) -> dict[str, Any] | None:
    if sum(each is not None for each in (text, vary, texts)) > 1:
        raise CommandError("give one of --text, --vary and --texts")
    if context is not None and vary is None:
        raise CommandError("--context goes with --vary")
    if text is not None:
        return {"strategy": "one_for_all", "base_text": text}
    if vary is not None:
        return {"strategy": "base_vary", "base_text": vary, "context": context}
    if texts is None:
        return None
    try:
        lines = texts.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CommandError(f"{texts} is no text in UTF-8: {error}") from None
    if not lines:
        raise CommandError(f"{texts} is empty: it has to have a line for each segment")
    return {"strategy": "unique_for_all", "unique_texts": lines}


def _options(cut: dict[str, Any], *, exact: bool, text_input: dict[str, Any] | None) -> JobOptions:
    try:
        return JobOptions.model_validate({"cutting_options": cut, "exact": exact, "text_input": text_input})
    except ValidationError as error:
        varied = text_input is not None and text_input["strategy"] == "base_vary"
        names = {**_OPTIONS, "base_text": "--vary"} if varied else _OPTIONS
        raise CommandError("; ".join(_option_error_text(each, names) for each in error.errors(include_url=False))) from None


_OPTIONS = {
    "fixed": "--fixed", "random": "--random", "scenes": "--scenes with --min and --max", "base_text": "--text",
    "unique_texts": "--texts", "context": "--context",
}  # fmt: skip


def _option_error_text(fault: Any, names: Mapping[str, str]) -> str:
    """What is wrong with an option, by the name that it has on the command line."""
    option = next((names[str(part)] for part in fault["loc"] if str(part) in names), "the options")
    reason = str(fault["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    value = f" {fault['input']:g}" if isinstance(fault["input"], float) else ""
    return f"{option}{value}: {'' if reason == fault['msg'] or 'Value error' in fault['msg'] else 'it has to be '}{reason}"


def _item(video: str, *, user: str, dry_run: bool, timeout: float) -> uuid.UUID:
    """The item that is meant; a file becomes one, and is waited for until it is measured."""
    store, settings = connection.store(), connection.settings()
    try:
        with store.engine.connect() as db:
            return resolve(db, video, settings.bucket_name)
    except ItemNotFoundError:
        path = Path(video)
        if not path.is_file():
            raise CommandError(
                f"there is no item and no file {video!r}: give an item id, a key like uploads/me/film.mp4, or a file"
            ) from None
    if dry_run:
        raise CommandError(
            f"--dry-run stores nothing, and {video} has to be measured first: media-assets upload {video}, then plan by its key"
        )
    check_user(user)
    with err.status(f"uploading {path.name}") as status:
        upload = put(connection.s3(), settings.bucket, path, f"uploads/{user}/{path.name}")
        if upload.state == "failed":
            raise CommandError(f"{video}: {upload.message}")
        identify(store.engine, settings.bucket, [upload])
        status.update(f"measuring {path.name}")
        try:
            wait_until_probed(store.engine, upload, timeout_seconds=timeout)
        except KeyboardInterrupt:
            err.print(f"{upload.shown_key} is uploaded and no job submitted: media-assets segment {upload.shown_key} … does it")
            raise
    return upload.item_id


def _plan_json(video: Video, options: JobOptions, planned: SegmentPlan, priced: Quote) -> dict[str, Any]:
    return {
        "item_id": str(video.item_id),
        "key": video.key,
        "duration_ms": planned.duration_ms,
        "options": options.model_dump(mode="json"),
        "least_segments": planned.least,
        "most_segments": planned.most,
        "segments": planned.bounds
        and [
            {"index": index, "start_ms": start, "end_ms": end, "text": planned.text_of(index)}
            for index, (start, end) in enumerate(planned.bounds)
        ],
        "encodes": priced.encodes,
        "target": priced.route.target,
        "target_reason": priced.route.reason,
        "estimated_seconds": round(priced.seconds, 1),
        "estimated_micro_dollars": priced.micro_dollars,
    }


def _print_plan(video: Video, options: JobOptions, planned: SegmentPlan, priced: Quote) -> None:
    has_text = options.text_input is not None
    if planned.bounds is not None:
        columns = ("#", "from", "to", "seconds", *(["text"] if has_text else []))
        rows = [
            (
                index,
                exact_time_text(start),
                exact_time_text(end),
                f"{(end - start) / 1000:g}",
                *([planned.text_of(index) or "(varied by the model)"] if has_text else []),
            )
            for index, (start, end) in enumerate(planned.bounds)
        ]
        print_table(f"{video.key}, {exact_time_text(planned.duration_ms)}, {bytes_text(video.size_bytes)}", columns, rows)
    print_line(f"{_count_text(planned)}, {_mode_text(options.cutting_options, priced)}")
    bound = "at most" if planned.varied else "about"
    print_line(
        f"{bound} {money_text(priced.micro_dollars)}; about {priced.seconds:.0f} s of work on"
        f" {'Lambda' if priced.route.target == 'lambda' else 'ECS'} ({priced.route.reason}). Nothing was stored."
    )


def _count_text(planned: SegmentPlan) -> str:
    if planned.bounds is None:
        text = planned.text_of(0)
        return f"{planned.least} to {planned.most} segments, as scenes are found" + (f', "{text}" on each' if text else "")
    return counted(planned.most, "segment")


def _mode_text(cut: Cut, priced: Quote) -> str:
    if priced.encodes:
        return "encoded anew, cut to the frame"
    moved = {FixedCut: "cuts", RandomCut: "cuts", ScenesCut: "scenes' cuts"}[type(cut)]
    return f"copied as it is: {moved} move on to the next keyframes, so lengths and number may change (--exact encodes)"
