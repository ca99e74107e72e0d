"""What reports may be asked for, and how their rows are written down."""

from __future__ import annotations

import csv
import io

import pytest

from claviger.cckm.oci.reports.rules import COLUMNS, Type, check, period, whole_days
from claviger.cckm.oci.reports.tables import head, written
from claviger.core.errors import Invalid

DAY_S = 86_400.0


def test_rows_come_back_from_csv_as_they_were() -> None:
    rows: list[dict[str, object]] = [{"a": 'x,"y"\nz', "b": 1, "c": True}, {"a": None, "b": 2.5}]
    read = list(csv.DictReader(io.StringIO(head(("a", "b", "c")) + written(("a", "b", "c"), rows))))
    assert read == [{"a": 'x,"y"\nz', "b": "1", "c": "true"}, {"a": "", "b": "2.5", "c": ""}]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\r=x"])
def test_no_cell_is_a_formula(text: str) -> None:
    read = list(csv.reader(io.StringIO(written(("a",), [{"a": text}]), newline="")))
    assert read == [[f"'{text}"]]


@pytest.mark.parametrize("name", ["", "  ", "x" * 256, "a\nb"])
def test_names(name: str) -> None:
    with pytest.raises(Invalid):
        check(name, None, None, Type.AGING)


def test_periods() -> None:
    check("one", None, None, Type.KEYS)
    check("one", 0.0, 14 * DAY_S, Type.ROTATION)
    for start, end in ((0.0, 14 * DAY_S + 1), (None, 1.0), (1.0, None), (5.0, 5.0)):
        with pytest.raises(Invalid):
            check("one", start, end, Type.ROTATION)
    with pytest.raises(Invalid):
        check("one", 5.0, 4.0, Type.KEYS)


def test_rotations_are_told_of_the_last_days_where_none_are_named() -> None:
    assert period(None, None, Type.ROTATION, 20 * DAY_S) == (6 * DAY_S, 20 * DAY_S)
    assert period(1.0, None, Type.ROTATION, 20 * DAY_S) == (1.0, None)
    assert period(None, None, Type.KEYS, 20 * DAY_S) == (None, None)


def test_ages() -> None:
    assert whole_days(0.0, DAY_S - 1) == 0
    assert whole_days(0.0, DAY_S) == 1
    assert whole_days(DAY_S, 0.0) == 0


def test_every_type_has_columns_and_is_filtered_by_the_same_names() -> None:
    assert set(COLUMNS) == set(Type)
    assert all({"key_name", "key_id", "vault_id"} <= set(columns) for columns in COLUMNS.values())
