"""The Dagster daemon, which here first ends the runs that a crash left behind: `python -m media_assets.local.daemon run …`.

One process does both, because importing Dagster takes longer than either.
"""

from __future__ import annotations

from importlib.metadata import entry_points

from dagster import DagsterInstance

from media_assets.local.orphans import end_orphaned_runs


def main() -> None:
    """Takes the arguments of `dagster-daemon`."""
    with DagsterInstance.get() as instance:
        for run_id in end_orphaned_runs(instance):
            print(f"ended run {run_id}, which no living process owned", flush=True)
    (command,) = entry_points(group="console_scripts", name="dagster-daemon")
    command.load()()


if __name__ == "__main__":
    main()
