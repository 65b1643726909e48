"""Dagster as three processes: a code server that imports the definitions once, the webserver and the daemon.

`dagster dev` would do the same with two code servers more, and leaves some of its children behind when it is stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from media_assets.local.http import answers, post_json
from media_assets.local.ports import LOOPBACK
from media_assets.local.processes import ProcessDiedError, ProcessRecord, spawn, stop_marked
from media_assets.local.sockets import make_private, socket_folder

PROJECT = Path(__file__).resolve().parents[2]
LOCATION = "media-assets"
"""As in workspace.yaml: Dagster keeps what a person paused by the location's name."""
_START_SECONDS = 120
_STOP_SECONDS = 5
"""A tick or a run that is cut short loses nothing; a code server that had a run under way never ends by itself."""
_HEALTH = """
{
  workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { ... on PythonError { message } } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } }
}
"""


class DagsterRecord(BaseModel):
    """The running processes of Dagster."""

    model_config = ConfigDict(frozen=True)

    port: int
    code_server: ProcessRecord
    webserver: ProcessRecord
    daemon: ProcessRecord
