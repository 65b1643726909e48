"""Where lines end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.segment.wrapping import clusters, wrap


def wrapped(text: str, width: int, *, tears_words: bool = False) -> list[str] | None:
    return wrap(text, lambda line: len(clusters(line)) <= width, tears_words=tears_words)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("one two three", 7, ["one two", "three"]),
        ("one  two", 3, ["one", "two"]),
        (" one ", 3, ["one"]),
        ("", 3, [""]),
        ("   ", 3, [""]),
        ("a well-known fact", 7, ["a well-", "known", "fact"]),
        ("minus -5", 6, ["minus", "-5"]),
        ("no\u00a0break here", 8, ["no\u00a0break", "here"]),
        ("zero\u200bwidth", 6, ["zero", "width"]),
        ("天空很蓝。我们骑车", 5, ["天空很蓝。", "我们骑车"]),
        ("天空很蓝。我们骑车", 4, ["天空很", "蓝。我们", "骑车"]),
        ("今日は「海」へ", 4, ["今日は", "「海」へ"]),
        ("ちょっと", 4, ["ちょっと"]),
        ("ちょっとね", 4, ["ちょっと", "ね"]),
        ("ちょっとね", 2, None),
        ("한국어 문장", 5, ["한국어", "문장"]),
        ("한국어문장", 4, None),
        ("abc中文", 4, ["abc中", "文"]),
        ("longest", 6, None),
    ],
)
def test_lines_end_where_they_may(text: str, width: int, lines: list[str] | None) -> None:
    assert wrapped(text, width) == lines


def test_words_are_torn_between_what_readers_see_as_characters() -> None:
    assert wrapped("ab longest", 4, tears_words=True) == ["ab", "long", "est"]
    assert wrapped("x̂x̂x̂", 2, tears_words=True) == ["x̂x̂", "x̂"]
    assert wrapped("short word", 5, tears_words=True) == ["short", "word"]
    assert wrapped("x", 0, tears_words=True) is None


@given(st.text(alphabet="ab c-永。「あっ한x\u0302\u200b,", max_size=40), st.integers(1, 12))
def test_nothing_is_lost_and_nothing_too_wide(text: str, width: int) -> None:
    lines = wrapped(text, width, tears_words=True)
    assert lines is not None
    assert all(len(clusters(line)) <= width for line in lines)
    keep = str.maketrans("", "", " \u200b")
    assert "".join(lines).translate(keep) == text.translate(keep)
