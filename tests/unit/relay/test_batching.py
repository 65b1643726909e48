"""A page of the log is cut into calls: in order, without gaps, one entry of a stream at a time, within EventBridge's limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media_assets.eventlog.outbox import Page
from media_assets.relay.batching import MAX_BYTES, MAX_ENTRIES, Batch, batches, size_bytes
from tests.unit.relay.entries import entry

KB = 1000


def page(streams: str, *, after: int = 0) -> Page:
    """A position a letter: an entry of that stream, or `.` for an event that isn't published."""
    entries = [entry(after + n, stream) for n, stream in enumerate(streams, 1) if stream != "."]
    return Page(after, after + len(streams), entries)


def cut(page: Page, held: set[str] | None = None) -> list[tuple[int, int, str, str]]:
    """(after, upto, streams sent, streams held behind) of each batch."""

    def letters(batch: Batch) -> tuple[str, str]:
        return "".join(e.stream_id for e in batch.send), "".join(e.stream_id for e in batch.behind)

    return [(batch.after, batch.upto, *letters(batch)) for batch in batches(page, held or set())]


def test_ten_entries_go_out_at_once() -> None:
    assert [call[2] for call in cut(page("abcdefghijklmnopqrstu"))] == ["abcdefghij", "klmnopqrst", "u"]


def test_a_stream_is_in_a_call_once() -> None:
    assert cut(page("abbcab")) == [(0, 2, "ab", ""), (2, 5, "bca", ""), (5, 6, "b", "")]


def test_the_cursor_passes_what_is_not_published() -> None:
    assert cut(page("..a.a..", after=100)) == [(100, 104, "a", ""), (104, 107, "a", "")]
    assert cut(page("...")) == [(0, 3, "", "")]
    assert cut(page("")) == []


def test_what_follows_in_a_held_stream_stays_behind() -> None:
    assert cut(page("abacb"), {"a"}) == [(0, 4, "bc", "aa"), (4, 5, "b", "")]


def test_a_refusal_holds_back_what_follows_on_the_same_page() -> None:
    held: set[str] = set()
    calls = []
    for batch in batches(page("abaab"), held):
        calls.append(("".join(e.stream_id for e in batch.send), "".join(e.stream_id for e in batch.behind)))
        held.add("a")
    assert calls == [("ab", ""), ("b", "aa")]


def test_a_call_stays_below_256_kb() -> None:
    entries = [entry(n, detail='"' + "x" * 100 * KB + '"') for n in range(1, 6)]
    assert [len(batch.send) for batch in batches(Page(0, 5, entries), set())] == [2, 2, 1]


def test_an_entry_that_is_too_large_is_tried_alone() -> None:
    entries = [entry(1), entry(2, detail="x" * 300 * KB), entry(3)]
    assert [len(batch.send) for batch in batches(Page(0, 3, entries), set())] == [1, 1, 1]


def test_sizes_are_counted_in_bytes() -> None:
    assert size_bytes(entry(1, detail='"é"')) == 14 + len("media-assets") + len("ImageProcessed") + 4


@given(st.text("abcdef.", max_size=60), st.sets(st.sampled_from("abcdef")))
def test_nothing_is_left_out_doubled_or_turned_around(streams: str, held: set[str]) -> None:
    whole = page(streams)
    found = list(batches(whole, held))
    edges = [0, *(batch.upto for batch in found)]
    assert [batch.after for batch in found] == edges[:-1]
    assert edges[-1] == len(streams)
    for batch in found:
        assert all(batch.after < e.position <= batch.upto for e in [*batch.send, *batch.behind])
        assert len({e.stream_id for e in batch.send}) == len(batch.send) <= MAX_ENTRIES
        assert sum(map(size_bytes, batch.send)) < MAX_BYTES
    assert [e for batch in found for e in batch.send] == [e for e in whole.entries if e.stream_id not in held]
    assert [e for batch in found for e in batch.behind] == [e for e in whole.entries if e.stream_id in held]
