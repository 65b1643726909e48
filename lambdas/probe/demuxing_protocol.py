"""What lambdas.probe.demuxer and the process that it starts, lambdas.probe.demuxing, say to each other through two pipes."""

from __future__ import annotations

import struct

REQUEST = struct.Struct(">cqi")
"""From the process: READ, a position and a length; or FACTS, 0 and the length of the JSON that follows."""
READ, FACTS = b"R", b"F"
ANSWER = struct.Struct(">i")
"""To the process: the length of the bytes that follow, as many as asked for unless the file ends."""

MEMORY_BYTES = 400 * 1024 * 1024
"""What the process may take. A header of a million frames and their sound takes 150 MB."""
CPU_SECONDS = 40
"""Of the process. Listing the packets of four hours at 60 frames a second, where that has to be, takes 25."""
