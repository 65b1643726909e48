"""Following a job through the read models until it has come to an end."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from sqlalchemy import Engine, text

from media_assets.cli.output import CommandError, err
from media_assets.cli.uploading import waits_for_money
from media_assets.eventlog.jobs import FINISHED
from media_assets.steps.budgets import waiting_for_money

_POLL_SECONDS = 0.5


def follow_job(engine: Engine, job_id: uuid.UUID, *, timeout_seconds: float) -> None:
    """Show a progress bar on standard error until the job is completed, failed or cancelled.

    Raises CommandError after `timeout_seconds` without progress, if the job waits for money, and if its video is erased;
    KeyboardInterrupt, after saying that the job goes on, for Ctrl-C.
    """
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
    later = f"it goes on: media-assets job {job_id}"
    try:
        with bar:
            task = bar.add_task("pending", total=100)
            deadline, last = time.monotonic() + timeout_seconds, None
            while True:
                with engine.connect() as db:
                    job = db.execute(text("SELECT * FROM jobs WHERE job_id = :id"), {"id": job_id}).one_or_none()
                    stop = waiting_for_money(db, [job_id], datetime.now(UTC).date()).get(job_id)
                if job is None:
                    raise CommandError(f"job {job_id} was erased with its video")
                bar.update(task, completed=job.progress, description=job.state)
                if job.state in FINISHED:
                    return
                if stop is not None:
                    raise CommandError(f"job {job_id} {waits_for_money(stop)}; after that {later}")
                if last != (last := (job.state, job.progress, job.updated_at)):
                    deadline = time.monotonic() + timeout_seconds
                if time.monotonic() > deadline:
                    raise CommandError(f"no progress for {timeout_seconds:.0f} s; see media-assets status. {later}")
                time.sleep(_POLL_SECONDS)
    except KeyboardInterrupt:
        err.print(later[0].upper() + later[1:], soft_wrap=True)
        raise
