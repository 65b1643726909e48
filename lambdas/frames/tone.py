"""HDR and wide-gamut pictures as sRGB shows them.

Sources: SMPTE ST 2084 (PQ), ITU-R BT.2100 (HLG and its display's gamma), BT.2408 (203 cd/m² is a white sheet of paper),
BT.2390-10 section 5.4 (the curve that brings a bright display's range into a darker one's), BT.2087 (BT.2020 to BT.709).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

PQ, HLG = 16, 18
"""Transfer characteristics of ITU-T H.273."""
_WHITE, _PEAK = 203.0, 1000.0  # cd/m²: of sRGB's white, and of the brightest that is mastered for
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_LUMINANCE_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)
_FROM_2020 = np.array(
    [[1.6604910, -0.5876411, -0.0728499], [-0.1245505, 1.1328999, -0.0083494], [-0.0181508, -0.1005789, 1.1187297]], np.float32
)


def hdr_to_srgb(encoded: Floats, transfer: int) -> Floats:
    """BT.2020 colours in PQ or HLG as sRGB; (height, width, 3), 0 to 1 both."""
    light = _pq_to_light(encoded) if transfer == PQ else _hlg_to_light(encoded)
    strongest = light.max(axis=-1, keepdims=True)
    compressed = light * (_compressed(strongest) / np.maximum(strongest, 1e-4))
    return _srgb(compressed / _WHITE @ _FROM_2020.T)


def wide_to_srgb(encoded: Floats) -> Floats:
    """BT.2020 colours of a standard range as sRGB; (height, width, 3), 0 to 1 both."""
    light = np.clip(encoded, 0, 1) ** 2.4  # BT.1886
    return np.clip(light @ _FROM_2020.T, 0, 1) ** (1 / 2.4)


def _pq_to_light(encoded: Floats) -> Floats:
    """cd/m²."""
    power = np.clip(encoded, 0, 1) ** (1 / _M2)
    light: Floats = 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return light


def _light_to_pq(light: Floats) -> Floats:
    power = np.clip(light / 10_000, 0, 1) ** _M1
    encoded: Floats = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return encoded


def _hlg_to_light(encoded: Floats) -> Floats:
    """cd/m² on a display of the peak's brightness."""
    encoded = np.clip(encoded, 0, 1)
    scene = np.where(encoded <= 0.5, encoded**2 / 3, (np.exp((encoded - _C) / _A) + _B) / 12)
    luminance = (scene @ _LUMINANCE_2020)[..., None]
    light: Floats = _PEAK * scene * np.maximum(luminance, 1e-6) ** 0.2
    return light


def _compressed(light: Floats) -> Floats:
    """From a range that ends at the peak to one that ends at white: unchanged up to the knee, then ever less."""
    peak, white = (_light_to_pq(np.array([level], np.float32))[0] for level in (_PEAK, _WHITE))
    greatest = white / peak
    knee = 1.5 * greatest - 0.5
    level = np.clip(_light_to_pq(light) / peak, 0, 1)
    t = np.clip((level - knee) / (1 - knee), 0, 1)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * greatest
    return _pq_to_light(np.where(level < knee, level, curve) * peak)


def _srgb(light: Floats) -> Floats:
    light = np.clip(light, 0, 1)
    encoded: Floats = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return encoded
