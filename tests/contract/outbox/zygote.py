"""Forks relays from a process that has imported everything already: `python -m tests.contract.outbox.zygote`.

Each line on standard input starts one; its pid is the answer. The relays that are left end with the input.
"""

from __future__ import annotations

import os
import signal
import sys

import boto3

from media_assets.relay.service import Relay, Stop
from media_assets.settings import get_settings


def main() -> None:
    settings = get_settings()
    for service in ("events", "cloudwatch"):
        boto3.client(service)  # type: ignore[call-overload]  # reads their descriptions, which takes longest
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps those that are killed
    relays = []
    for _ in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if pid == 0:
            stop = Stop()
            signal.signal(signal.SIGTERM, stop.request)
            Relay.connect(settings, lambda message: None).run(stop)
            os._exit(0)
        relays.append(pid)
        print(pid, flush=True)
    for pid in relays:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
