"""Words in a row, as a sentence has them."""

import pytest

from report.verdicts.text import join_words


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], ""),
        (["one"], "one"),
        (("one", "two"), "one and two"),
        (["one", "two", "three"], "one, two and three"),
    ],
)
def test_listed(words, text: str):
    assert join_words(words) == text
