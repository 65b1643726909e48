"""Where shots begin: a cut changes more at once than whatever moves does, a dissolve ends in a picture unlike the first.

As in PySceneDetect's adaptive detector, a change is held against those around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from lambdas.frames.figures import Signature, distance

MIN_SHOT_MS = 500
CUT = 0.5
"""How different a picture is from the one before, at least, where a shot begins."""
_TIMES_ITS_NEIGHBOURS = 2.0
_NEIGHBOURS = 4
_SPARSE_MS = 1000
"""Pictures farther apart have no neighbours to speak of."""
DRIFTED = 0.75
"""How different a calm picture is from its shot's first, at least, to belong to another shot."""
_CALM = 0.15


def shot_starts(times_ms: Sequence[float], signatures: Sequence[Signature]) -> list[int]:
    """The indices of the pictures with which shots begin, the first is 0; [] of no pictures. Times ascend.

    Shots take at least MIN_SHOT_MS, except for the last.
    """
    if not times_ms:
        return []
    changes = [0.0, *(distance(one, other) for one, other in pairwise(signatures))]
    starts, first = [0], 0
    for index in range(1, len(times_ms)):
        cut = _is_cut(index, times_ms, changes)
        drifted = not cut and changes[index] < _CALM and distance(signatures[first], signatures[index]) >= DRIFTED
        if not (cut or drifted):
            continue
        first = index
        if times_ms[index] - times_ms[starts[-1]] >= MIN_SHOT_MS:
            starts.append(index)
    return starts


def _is_cut(index: int, times_ms: Sequence[float], changes: Sequence[float]) -> bool:
    if changes[index] < CUT:
        return False
    if times_ms[index] - times_ms[index - 1] > _SPARSE_MS:
        return True
    around = [*changes[max(1, index - _NEIGHBOURS) : index], *changes[index + 1 : index + 1 + _NEIGHBOURS]]
    # The one greatest of them may be another cut.
    around = sorted(around)[:-1]
    return not around or changes[index] >= _TIMES_ITS_NEIGHBOURS * sum(around) / len(around)
