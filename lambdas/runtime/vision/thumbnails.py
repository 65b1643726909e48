"""The thumbnail that a model looks at: small, upright, sRGB, and decoded by nothing but the WebP decoder."""

from __future__ import annotations

import io

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from lambdas.runtime.contract import BatchItem, ErrorCode
from lambdas.runtime.step import StepContext, StepError


class PictureFacts(BaseModel):
    """What is known of a picture: `width` and `height` are the upright original's; `thumbnails` maps a size to its key."""

    model_config = ConfigDict(frozen=True)

    thumbnails: dict[int, str]
    width: int = Field(ge=1)
    height: int = Field(ge=1)

    def require(self, input_px: int) -> None:
        """Raises StepError MODEL_NOT_CONFIGURED if there is no thumbnail of that size."""
        if input_px not in self.thumbnails:
            raise StepError(ErrorCode.MODEL_NOT_CONFIGURED, f"there is no thumbnail of {input_px} px")

    def read(self, item: BatchItem, context: StepContext, input_px: int) -> Image.Image:
        """The thumbnail of that size. Raises what the storage and Pillow raise."""
        body = context.storage.read_key(item.bucket, self.thumbnails[input_px])
        image = Image.open(io.BytesIO(body), formats=["WEBP"])
        image.load()
        return image
