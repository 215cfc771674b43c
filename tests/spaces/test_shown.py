"""Values in messages: on one line, without what steers a terminal, and short."""

from hypothesis import given
from hypothesis import strategies as st

from spaces.shown import MOST_SHOWN, shown


@given(st.one_of(st.text(), st.binary(), st.integers(), st.floats(), st.lists(st.text())))
def test_one_short_line(value: object) -> None:
    text = shown(value)
    assert text.isprintable() and len(text) <= MOST_SHOWN + 20
    assert len(repr(value)) > MOST_SHOWN or text == repr(value)


def test_long_values_keep_both_ends() -> None:
    text = shown("u" * 1000 + "end")
    assert text.startswith("'uuu") and text.endswith("uend' (1,005 characters)")


def test_whole_numbers_that_python_does_not_write() -> None:
    assert shown(10**5000) == "<int of too many digits>"
