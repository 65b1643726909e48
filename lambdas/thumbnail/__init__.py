"""thumbnail: an image as WebP in a few sizes, upright, in sRGB, without metadata, and a placeholder of some 25 bytes."""
