"""Data files: their path, and of files of columns which of these are used, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from minifw.config.declared import NORMALIZE, Normalize
from minifw.config.tabled import CLASSES, Tabled
from minifw.data.roles import Choice
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


class Columned(FromFile):
    """Keys of all files of columns, which are given by name, or by number from 1."""

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


class Csv(Columned):
    """A file of text with a sample in each line; `features` and `target` are columns."""

    kind: Literal["csv"] = Field(description="a text file of columns: CSV, TSV and their kin")


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
    features: str = Field("x", description="name of the array of inputs, (samples, features)")
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
