"""What a cell is: number, missing or text; and which class it stands for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifw.data import cells
from minifw.errors import DataError
from tables_of import arrays_at, table_at

NUMBERS = {
    "7": 7, " 7 ": 7, "-0.5": -0.5, "+1": 1, ".5": 0.5, "5.": 5, "1e-3": 0.001, "1E+3": 1000,
    "007": 7, "1e-999": 0, "9" * 300: 1e300,
}  # fmt: skip
MISSING = ["", "  ", "?", "-", "NA", "na", "N/A", "n/a", "#N/A", "<NA>", "null", "NULL", "None"]
MISSING += ["nan", "NaN", "NAN", "-nan", "+NaN"]
TEXT = ["1_000", "１２", "١", "0x10", "1e", "e5", ".", "1,5", "1 2", "inf", "-Infinity", "1e999"]
TEXT += ["9" * 5000, "none", "Na", "Nan.", "--", "+", "nana", "true", "1\x00", "²"]


def test_a_cell_is_one_of_three() -> None:
    for cell, value in NUMBERS.items():
        assert cells.number(cell) == pytest.approx(value, rel=1e-15)
        assert not cells.missing(cell)
    for cell in MISSING:
        assert cells.missing(cell), cell
        assert cells.number(cell) is None
    for cell in TEXT:
        assert cells.number(cell) is None, cell
        assert not cells.missing(cell), cell


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("1", ["1", "1.0", "01", "+1", "1e0", "10e-1", " 1.", "1.000"]),
        ("0", ["-0", "0.0", "00", "0e7", "-.0"]),
        ("-2.5", ["-2.50", "-25e-1"]),
        ("1e+300", ["1e300", "10E299", "1e0300"]),
        ("9007199254740993", ["9007199254740993", "9007199254740993.0"]),  # no float
        ("True", ["true", "TRUE", "True", "tRUE"]),
        ("False", ["false", "FALSE"]),
        ("Yes", ["Yes", " Yes "]),
        ("inf", ["inf"]),
        ("1_000", ["1_000"]),
    ],
)
def test_cells_of_one_value_are_one_class(name: str, others: list[str]) -> None:
    assert {cells.class_name(cell) for cell in others} == {name}
    assert cells.class_name(name) == name


def test_cells_of_other_values_are_other_classes() -> None:
    different = [
        "9007199254740992", "9007199254740993", "1", "１", "yes", "Yes", "1e-999", "0", "0.1",
        "0.10000000000000000555", "1e999", "1e-99999999999999999999",
    ]  # fmt: skip
    assert len({cells.class_name(cell) for cell in different}) == len(different)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**40), 10**40))
def test_a_class_keeps_its_number(value: float, whole: int) -> None:
    assert Fraction(cells.class_name(repr(value))) == Fraction(repr(value))
    assert Fraction(cells.class_name(str(whole))) == whole


@given(st.text(), st.text())
def test_a_name_is_the_name_of_itself(one: str, other: str) -> None:
    for cell in (one, other):
        assert cells.class_name(cells.class_name(cell)) == cells.class_name(cell)


def test_numbers_are_ordered_by_value_and_all_else_as_text() -> None:
    assert cells.in_order(["10", "9", "-1", "2.5", "1e+300"]) == ["-1", "2.5", "9", "10", "1e+300"]
    assert cells.in_order(["10", "9", "b", "B"]) == ["10", "9", "B", "b"]
    assert cells.in_order(["False", "10", "9"]) == ["10", "9", "False"]


PROGRAM = """
import sys
from pathlib import Path
from tables_of import table_at
for path in sys.argv[1:]:
    print(*table_at(Path(path)).classes)
"""


def test_the_order_of_classes_does_not_follow_pythons_hashes(tmp_path: Path) -> None:
    labels = ["1", "01", "0", "-0", "1.0", "00", "10", "9.0", "b", "B", "true", "TRUE", "é"]
    paths = [tmp_path / "mixed.csv", tmp_path / "numbers.csv"]
    for path, some in zip(paths, (labels, labels[:8]), strict=True):
        path.write_text("a,y\n" + "".join(f"{i},{name}\n" for i, name in enumerate(some)))
    for seed in ("0", "1"):
        found = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, paths)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, check=True, encoding="utf-8",
        )  # fmt: skip
        assert found.stdout == "0 1 10 9 B True b é\n0 1 9 10\n"


def _line(found: re.Match[str]) -> str:
    """The place of a row of an archive as that in a file with a line of names."""
    return f"{':' if found[1] else 'line '}{int(found[2]) + 1}"


def test_csv_and_npz_agree_about_cells(tmp_path: Path) -> None:
    """What one kind of file refuses, and the classes that it finds, are the other's."""
    for labels in (
        ["1", "1.0", "2"], ["True", "TRUE", "no"], ["a", " a", "b"], ["1", "NA", "2"],
        ["1_000", "1000", "1"], ["?", "a", "b"], ["x" * 101, "a", "b"], ["a\x1b", "b", "c"],
        ["9" * 5000, "1", "2"], ["10.0", "9.0", "9"], ["a", "a", "a"],
    ):  # fmt: skip
        text, arrays = tmp_path / "points.csv", tmp_path / "points.npz"
        text.write_text("a,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels)))
        np.savez(arrays, x=[[0.0], [1.0], [2.0]], y=np.array(labels))
        found: list[object] = []
        for path in (text, arrays):
            try:
                table = table_at(path) if path is text else arrays_at(path)
            except DataError as fault:
                what = str(fault).removeprefix(str(path))
                found.append(re.sub(r"(: |)row (\d)", _line, what))
            else:
                found.append((table.classes, table.labels.tolist()))
        assert found[0] == found[1]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (np.array([b"b", b"a", "é".encode()]), ("a", "b", "é")),
        (np.array([1.0, 10.0, 9.0]), ("1", "9", "10")),
        (np.array([0.1, 0.5, 1], np.float32), ("0.1", "0.5", "1")),
        (np.array([1, 10, 9], np.longdouble), ("1", "9", "10")),
        (np.array([True, False, True]), ("False", "True")),
        (np.array([2**63, 2**63 + 1, 0], np.uint64), ("0", "9223372036854775808", "9223372036854775809")),
        (np.array(["1", "01", "2"]), ("1", "2")),
    ],
)  # fmt: skip
def test_classes_of_every_kind_of_array(
    tmp_path: Path, labels: np.ndarray, classes: tuple[str, ...]
) -> None:
    path = tmp_path / "points.npz"
    np.savez(path, x=[[0.0], [1.0], [2.0]], y=labels)
    assert arrays_at(path).classes == classes
