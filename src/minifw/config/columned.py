"""Data files: their path, and of files of columns which of these are used, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from minifw.config.declared import NORMALIZE, Normalize
from minifw.config.tabled import CLASSES, Tabled
from minifw.data.dialect import Dialect
from minifw.data.encoded import is_known
from minifw.data.roles import Choice
from minifw.errors import short
from minifw.statistics.measure import Task


def _path(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """Accept a path with bytes that are not UTF-8 (lone surrogates), which pydantic refuses."""
    if not isinstance(value, str):
        return check(value)
    check(value.encode(errors="replace").decode())
    return value


FilePath = Annotated[str, WrapValidator(_path)]

ColumnName = str | Annotated[int, Field(ge=1, le=1_000_000)]
"""A column by its name, or by its number from 1."""
Columns = Annotated[list[ColumnName], Field(min_length=1)]


Missing = Annotated[
    Literal["error", "drop", "mean", "median"],
    Field(
        description="what happens to missing values: an error, rows are left out, or they are "
        "filled with the mean or the median of the training samples of each seed"
    ),
]


WORDS = {"tab": "\t", "space": " "}
"""Words for delimiters."""


def _only(fits: Callable[[str], object], must_be: str) -> AfterValidator:
    """Refuse text that does not fit, with words for what it must be."""

    def check(value: str) -> str:
        if fits(value):
            return value
        wrong = f"must be {must_be}, got {short(value)}"
        raise PydanticCustomError("unfit", "{wrong}", {"wrong": wrong})

    return AfterValidator(check)


_DELIMITER = r"[!#$%&()*,/:;<=>?@\[\\\]^`{|}~ \t]|tab|space"
Delimiter = Annotated[
    str,
    _only(re.compile(_DELIMITER).fullmatch, "a character that no cell holds, tab or space"),
    WithJsonSchema({"type": "string", "pattern": f"^({_DELIMITER})$"}),
]
Decimal = Annotated[
    str, _only((".", ",").__contains__, "'.' or ','"), WithJsonSchema({"enum": [".", ","]})
]
Encoding = Annotated[
    str, _only(is_known, "an encoding that Python knows, such as latin-1 or cp1252")
]


class AtPath(Tabled):
    """The key of all data that lie at a path."""

    path: FilePath = Field(min_length=1, description="the file, relative to the config's folder")

    @property
    def about(self) -> str:
        return Path(self.path).name


class FromFile(AtPath):
    """Keys that all data files share but those of several."""

    test_path: Annotated[FilePath, Field(min_length=1)] | None = Field(
        None,
        description="a second file, with the same columns, all rows of which are for testing; by "
        "default some rows of the first",
    )


class Chosen(Tabled):
    """Keys that say which columns are used, given by name, or by number from 1."""

    features: Columns | None = Field(
        None, description="columns to learn from; by default all but the target"
    )
    exclude: Columns | None = Field(None, description="columns that are not used")
    target: ColumnName | Columns | None = Field(
        None,
        description="column of classes, or by regression of numbers, or a list of such columns; by "
        "default the last column",
    )
    categorical: Literal["auto"] | list[ColumnName] = Field(
        "auto",
        description="columns, each value of which becomes a feature of 0 or 1 (one-hot), besides "
        "those that are seen to hold words",
    )
    missing: Missing = "error"
    group: ColumnName | None = Field(
        None, description="column of the groups that `split: grouped` keeps together"
    )

    @property
    def choice(self) -> Choice:
        """Which columns are used, and how."""
        return Choice(
            self.features,
            self.target,
            self.exclude or (),
            self.categorical,
            self.missing,
            self.group,
            self.is_regression,
        )


class Columned(Chosen, FromFile):
    """Keys of all files of columns."""

    @property
    def dialect(self) -> Dialect:
        """How a file of text is written, by its keys."""
        return Dialect()


class Csv(Columned):
    """A file of text with a sample in each line; `features` and `target` are columns.

    Further keys say how it is written; what they leave open is found by looking.
    """

    kind: Literal["csv"] = Field(description="a text file of columns: CSV, TSV and their kin")
    delimiter: Delimiter | None = Field(
        None,
        description="what separates cells: a character, `tab`, or `space` for any run of spaces; "
        "by default found by looking",
    )
    decimal: Decimal | None = Field(
        None,
        description="the point of numbers; by default a comma where no other character separates "
        "cells by commas and no number has a point",
    )
    header: bool | None = Field(
        None,
        description="whether the first line names the columns; by default where names stand over "
        "numbers",
    )
    names: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="names of all columns, instead of those in the file"
    )
    encoding: Encoding | None = Field(
        None,
        description="encoding of the text, such as latin-1; by default UTF-8, or UTF-16 where the "
        "file is marked so",
    )
    comment: Annotated[str, Field(max_length=3)] | None = Field(
        None,
        description="what lines of comments begin with, an empty text for none; by default # or %, "
        "if the first line does",
    )
    skip: int = Field(
        0, ge=0, le=1_000_000, description="lines to leave out before anything is read"
    )

    @property
    def dialect(self) -> Dialect:
        """How the file is written."""
        return Dialect(
            None if self.delimiter is None else WORDS.get(self.delimiter, self.delimiter),
            self.decimal,
            self.header,
            self.names,
            self.encoding,
            self.comment,
            self.skip,
        )


class Parquet(Columned):
    """A Parquet file."""

    kind: Literal["parquet"] = Field(description="an Apache Parquet file")


class Arff(Columned):
    """An ARFF file, as of Weka and OpenML."""

    kind: Literal["arff"] = Field(description="an ARFF file, as of Weka and OpenML")


class Npy(Columned):
    """A NumPy file of one array, whose columns are features and target."""

    kind: Literal["npy"] = Field(description="a NumPy .npy file, (samples, columns)")


class Npz(FromFile):
    """A NumPy file; `features` and `target` are the names of its arrays."""

    kind: Literal["npz"] = Field(description="a NumPy .npz file")
    features: str = Field(
        "x",
        description="name of the array of inputs: (samples, features), or of images (samples, "
        "channels, height, width)",
    )
    target: str = Field(
        "y",
        description="name of the array of classes, (samples,), or by regression of numbers, "
        "(samples,) or (samples, targets)",
    )
    missing: Missing = "error"

    def choice(self, names: Sequence[str]) -> Choice:
        """How the columns of the arrays are used."""
        of_inputs = [name for name in names if name.startswith(f"{self.features}[")]
        targets = [name for name in names if name not in of_inputs]
        return Choice(of_inputs, targets, missing=self.missing, regression=self.is_regression)


class Idx(AtPath):
    """MNIST's files of images, and others of their kind, in a folder.

    Where the folder has files for testing, all of these are the test samples.
    """

    kind: Literal["idx"] = Field(description="the files of MNIST, or of its kind, in a folder")
    path: FilePath = Field(min_length=1, description="the folder, relative to the config's")
    images: FilePath | None = Field(
        None,
        description="the file of images for training, by default the one whose name has `train`, "
        "`images` and `idx`; of test files `t10k` or `test` stands in place of `train`",
    )
    labels: FilePath | None = Field(
        None, description="the file of their classes, by default with `labels` in place of `images`"
    )
    normalize: Normalize = Field("together", description=NORMALIZE)

    @property
    def tasks(self) -> tuple[Task, ...]:
        return CLASSES


FILES: tuple[Any, ...] = (Csv, Parquet, Arff, Npy, Npz, Idx)
