"""The command line: `media-assets …`.

The commands take a second to import, so they are imported where Ctrl-C is already minded.
"""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Entry point. Ctrl-C ends with exit status 130, at any moment."""
    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if interruptible:  # a KeyboardInterrupt inside an import can be lost, or come out as another error
        signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    from media_assets.cli.commands import run

    if interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()
