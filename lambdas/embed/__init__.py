"""Texts to vectors: the embed step and its providers."""
