"""The process behind `media-assets`: how it ends when somebody presses Ctrl-C, or when a setting makes no sense."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SLOW_TO_IMPORT = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "media_assets.local.stack":
            print(flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
from media_assets.cli import main
main()
"""


def test_ctrl_c_while_it_imports_ends_it_without_a_word() -> None:
    process = subprocess.Popen([sys.executable, "-c", SLOW_TO_IMPORT], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"MEDIA_USER_DAILY_BUDGETS_DOLLARS": '{"ada": 10, "grace": }'},
            "error: MEDIA_USER_DAILY_BUDGETS_DOLLARS: Expecting value: line 1 column 22 (char 21)\n",
        ),
        ({"MEDIA_DAILY_BUDGET_DOLLARS": "much"}, "error: MEDIA_DAILY_BUDGET_DOLLARS: Input should be a valid decimal\n"),
        (
            {"MEDIA_USER_DAILY_BUDGETS_DOLLARS": '{"ada": -1}', "MEDIA_MAX_PIXELS": "0"},
            "error: MEDIA_MAX_PIXELS: Input should be greater than 0;"
            " MEDIA_USER_DAILY_BUDGETS_DOLLARS: ada: Input should be greater than or equal to 0\n",
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_a_line_with_its_variable(
    variables: dict[str, str], told: str, tmp_path: Path
) -> None:
    environment = {**os.environ, "MEDIA_STATE_DIR": str(tmp_path), **variables}
    command = [sys.executable, "-m", "media_assets.cli", "env"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", told)
