"""Timetables of any kind, for property tests."""

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from telerelay_endpoint.timetable import Span, Timetable

_SPANS = st.builds(
    lambda day, begin, length: Span(day, begin, begin + length),
    st.integers(0, 7),
    st.integers(0, 1439),
    st.integers(1, 1440),
)


def timetables(offsets: SearchStrategy[int], holidays: SearchStrategy[int]) -> SearchStrategy[Timetable]:
    """With these minutes from UTC and these holidays, in days since 1970."""
    return st.builds(
        Timetable,
        offset=offsets,
        spans=st.lists(_SPANS, min_size=1, max_size=6).map(tuple),
        holidays=st.lists(holidays, max_size=4).map(tuple),
    )
