"""A picture as models take it: opaque, and fitted into their canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lambdas.runtime.vision.inference import Floats


def opaque(image: Image.Image) -> Image.Image:
    """The picture in RGB; transparency counts as white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    picture = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies in a model's canvas, in its pixels: as large as fits, centred, and never stretched, since the
    models were trained on true proportions."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, size: tuple[int, int], canvas_width: int, canvas_height: int) -> Letterbox:
        """For a picture of `size` (width, height)."""
        scale = min(canvas_width / size[0], canvas_height / size[1])
        width, height = (max(round(side * scale), 1) for side in size)
        return cls((canvas_width - width) // 2, (canvas_height - height) // 2, width, height)

    def scaled(self, image: Image.Image) -> Floats:
        """The picture's pixels at the size that it has in the canvas, shape (height, width, 3), 0 to 255."""
        return np.asarray(image.resize((self.width, self.height), Image.Resampling.BILINEAR), np.float32)

    def place(self, pixels: Floats, canvas: Floats) -> None:
        """Puts what was made of the scaled pixels into the canvas."""
        canvas[self.top : self.top + self.height, self.left : self.left + self.width] = pixels

    def fractions(self, boxes: Floats) -> NDArray[np.float64]:
        """Boxes (n, 4) in pixels of the canvas (left, top, right, bottom) as fractions of the picture's sides."""
        offset = np.array([self.left, self.top, self.left, self.top])
        size = np.array([self.width, self.height, self.width, self.height])
        fractions: NDArray[np.float64] = (boxes - offset) / size
        return fractions
