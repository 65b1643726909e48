"""`media-assets show`: what was found in a picture, for people and for machines."""

from __future__ import annotations

import pytest

from tests.conftest import Database
from tests.unit.command_line import said, talking_to, told
from tests.unit.eventlog.lives import Life

cat = Life()


def test_detections_are_a_table_and_none_of_them_a_number(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with talking_to(database, monkeypatch):
        database.store.append([cat.upload(), cat.probed(), cat.thumbnails()])
        assert told("show", cat.key)["detections"] is None
        assert "detections" not in said("show", cat.key)

        database.store.append([cat.detections(labels=["cat", "red [sofa]\x1b"])])
        assert told("show", cat.key)["detections"]["detections"][1] == {
            "label": "red [sofa]\x1b",
            "confidence": 0.75,
            "bbox": [1, 1, 20, 10],
        }
        shown = said("show", cat.key)
        assert "2 by boxes" in shown
        lines = [line.split() for line in shown.splitlines()]
        assert ["label", "confidence", "x", "y", "width", "height"] in lines
        assert ["cat", "88%", "0", "1", "20", "10"] in lines
        assert ["red", "[sofa]\\x1b", "75%", "1", "1", "20", "10"] in lines

        database.store.append([cat.reprocess("detect"), cat.detections(labels=[], generation=1)])
        shown = said("show", cat.key)
        assert "0 by boxes" in shown
        assert "confidence" not in shown
