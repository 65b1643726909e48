"""The Dagster layer: assets, checks, sensors, jobs and schedules over the event log and dispatch."""

import warnings

from dagster import BetaWarning

# Backfill policies have been "beta" since 2023; a warning for each asset in front of every command tells nobody anything.
warnings.filterwarnings("ignore", category=BetaWarning)
