"""Pixeltable with a computed column a step and an embedding index on the text, in the environment of what is compared with.

Photos are inserted by path, in one insert; its UDFs run in its one process. PIXELTABLE_HOME is where it keeps everything.
"""

from __future__ import annotations

import time

import pixeltable as pxt  # type: ignore[import-not-found]

from benchmarks import pixeltable_steps as steps
from benchmarks.one_photo import warm
from benchmarks.peer import answer

TABLE = "photos"


def handle(photos: list[str]) -> float:
    """Seconds that the insert takes into a new table. Raises AssertionError unless all is in it and found by vector."""
    table = _new_table()
    began = time.perf_counter()
    status = table.insert([{"path": path} for path in photos])
    took = time.perf_counter() - began
    [nearest] = table.order_by(table.text.similarity(string="a cat"), asc=False).limit(1).select(table.text).collect()
    if status.num_excs or table.count() != len(photos) or not nearest["text"]:
        raise AssertionError(f"{status.num_excs} errors, {table.count()} of {len(photos)} photos")
    return took


def _new_table() -> pxt.Table:
    table = pxt.create_table(TABLE, {"path": pxt.Required[pxt.String]}, if_exists="replace_force")
    table.add_computed_column(probed=steps.probe(table.path))
    table.add_computed_column(thumbnails=steps.thumbnail(table.path))
    table.add_computed_column(analyzed=steps.analyze(table.path, table.probed, table.thumbnails))
    table.add_computed_column(detected=steps.detect(table.path, table.probed, table.thumbnails))
    table.add_computed_column(text=steps.text(table.analyzed))
    table.add_embedding_index("text", string_embed=steps.embed)
    return table


if __name__ == "__main__":
    warm()
    answer(handle)
