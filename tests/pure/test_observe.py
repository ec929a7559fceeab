"""What the pictures of `make observe` write at an axis or in large."""

import pytest

from tests.observe.drawing import shown


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0, "s", "0 s"),
        (0.000_167, "s", "167 µs"),
        (0.0466, "s", "46.6 ms"),
        (5_400, "s", "1.5 h"),
        (0.9985, "percentunit", "99.85 %"),
        (1_250_000, "Bps", "1.25 MB/s"),
        (730.2, "d", "730 d"),
        (2_000, "short", "2 k"),
        (-30, "cpm", "-30 /min"),
        (float("nan"), "s", "–"),
    ],
)
def test_a_value_is_written_as_a_person_reads_it(value: float, unit: str, written: str) -> None:
    assert shown(value, unit) == written
