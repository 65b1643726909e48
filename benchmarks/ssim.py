"""How alike two pictures look: SSIM of their luma, Wang et al. 2004, doi:10.1109/TIP.2003.819861.

Window and constants are the paper's: a Gaussian of 11 pixels, σ 1.5; K1 0.01, K2 0.03.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

_WINDOW: Floats = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
_WINDOW /= _WINDOW.sum()
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Mean over the picture: 1 for the same. Both have the same size, at least 11 pixels a side."""
    x, y = (np.asarray(image.convert("L"), np.float64) for image in (one, other))
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) - mean_x**2 + _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    alike = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    return float((alike / ((mean_x**2 + mean_y**2 + _C1) * (variances + _C2))).mean())


def _blur(values: Floats) -> Floats:
    rows = len(_WINDOW) - 1
    down: Floats = sum(weight * values[at : values.shape[0] - rows + at] for at, weight in enumerate(_WINDOW))
    across: Floats = sum(weight * down[:, at : down.shape[1] - rows + at] for at, weight in enumerate(_WINDOW))
    return across
