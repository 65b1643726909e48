"""thumbnail, for any picture at all: every size is there, decodable, of the right shape, never larger than the original."""

from __future__ import annotations

import base64
import io

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lambdas.runtime.images.header import read_header
from lambdas.thumbnail.decode import decode, fit
from lambdas.thumbnail.renditions import render
from tests.unit.images import photo, turned

_SIZES = (256, 800, 1600)
_MODES = {
    "jpeg": ["L", "RGB", "CMYK"],
    "png": ["1", "L", "LA", "P", "I;16", "RGB", "RGBA"],
    "tiff": ["1", "L", "LA", "P", "I;16", "I", "F", "RGB", "RGBA", "CMYK"],
    "webp": ["RGB", "RGBA"],
    "bmp": ["1", "L", "P", "RGB"],
    "gif": ["L", "P"],
}
_SIDES = st.one_of(st.integers(1, 40), st.integers(1, 3000))
_FILES = st.sampled_from([(format, mode) for format, modes in _MODES.items() for mode in modes])


@settings(max_examples=60, deadline=None)
@given(file=_FILES, width=_SIDES, height=_SIDES, orientation=st.integers(1, 8))
def test_every_picture_gets_every_size(file: tuple[str, str], width: int, height: int, orientation: int) -> None:
    format, mode = file
    if format in ("bmp", "gif"):
        orientation = 1
    upright = photo(64, 48).resize((width, height))
    stored = upright.convert("L").convert(mode) if mode in ("I;16", "I", "F") else upright.convert(mode)
    body = turned(stored, orientation, format)

    header = read_header(io.BytesIO(body), len(body), 10**8)
    assert header.upright_size == (width, height)
    done = render(decode(body, header, 1600, 10**8), _SIZES, 70, 0)

    assert (done.width, done.height) == (width, height)
    assert {rendition.size for rendition in done.renditions} == set(_SIZES)
    for rendition in done.renditions:
        picture = Image.open(io.BytesIO(rendition.webp))
        picture.load()
        assert picture.size == (rendition.width, rendition.height)
        assert max(picture.size) == min(rendition.size, max(width, height))
        for side, original in zip(picture.size, (width, height), strict=True):
            assert 1 <= side <= original
            exact = original * min(1.0, rendition.size / max(width, height))
            assert abs(side - exact) <= 0.5 or (side == 1 and exact < 1)
    assert 5 <= len(base64.b64decode(done.placeholder)) <= 26


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 16383))
def test_fit(width: int, height: int, long_side: int) -> None:
    fitted = fit((width, height), long_side)
    assert max(fitted) == min(long_side, max(width, height))
    assert min(fitted) >= 1
    assert fit((height, width), long_side) == fitted[::-1]
