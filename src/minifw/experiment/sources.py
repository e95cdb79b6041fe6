"""The data file of a config as columns, and after its rows those of its test file; or MNIST's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from minifw.config.columned import Columned, Idx, Npz
from minifw.config.own_table import OwnTable
from minifw.data import archived, files, frames, idx, own
from minifw.data.frame import Frame
from minifw.data.joined import check_unchanged, joined
from minifw.data.roles import Choice, roles_of
from minifw.data.table import Table
from minifw.errors import ArtefactError, DataError


def table_of(section: Columned | Npz, expected: str | None) -> Table:
    """Return the samples of a data file, and of its test file; their checksum may be `expected`.

    Raises:
        DataError: a file cannot be read, or not be used; with the place and the key that mends it.
        ArtefactError: it has changed.

    """
    return samples_of(section, *columns_of(section, expected))


def columns_of(section: Columned | Npz, expected: str | None) -> tuple[Frame, int]:
    """Return the columns of a data file, and how many rows, the last ones, are of its test file.

    Errors are those of `table_of`.
    """
    path, second = Path(section.path), section.test_path
    if second is None:
        return _read(section, path, expected), 0
    both = [path, Path(second)]
    if expected is not None:  # before they are parsed, which may fail when they have changed
        check_unchanged(path, both[1], expected)
    frame, tests = (_read(section, each, None) for each in both)
    roles = roles_of(frame, choice_of(section, frame))
    group = [] if roles.group is None else [roles.group]
    return joined(frame, tests, [*roles.features, *roles.targets, *group]), tests.rows


def choice_of(section: Columned | Npz, frame: Frame) -> Choice:
    """Return which columns are used, and how."""
    return section.choice(frame.names) if isinstance(section, Npz) else section.choice


def samples_of(section: Columned | Npz, frame: Frame, tests: int = 0) -> Table:
    """Return the samples of columns of which the last `tests` rows are for testing."""
    made = files.table_of(frame, choice_of(section, frame), tests)
    if tests and not made.tests:
        what = "no row is left for testing; see data.missing"
        raise DataError(f"{section.test_path}: {what}")
    # An archive's target is one array, though it may have several columns.
    return replace(made, target=section.target) if isinstance(section, Npz) else made


def _read(section: Columned | Npz, path: Path, expected: str | None) -> Frame:
    if isinstance(section, Columned):
        return frames.read_frame(path, section.dialect, expected)
    return archived.read_npz(
        path,
        section.features,
        section.target,
        expected=expected,
        regression=section.is_regression,
    )


def table_of_idx(section: Idx, expected: str | None) -> Table:
    """Return the samples of MNIST's files, those for testing last.

    By cross-validation these are left out. Errors are those of `table_of`.
    """
    tested = section.folds is None
    files_of = Path(section.path), section.images, section.labels
    table = idx.read_idx(*files_of, tested=tested, expected=expected)
    if table.tests and section.test is not None:
        raise DataError(
            f"{section.path}: has {table.tests} test samples in files of their own; data.test must "
            "be left out"
        )
    return table


def table_of_own(section: OwnTable, expected: str | None) -> Table:
    """Return the samples that a user's own function returns.

    Raises:
        DataError: it raised an error, or returned something else.
        ArtefactError: these are not the expected samples.

    """
    frame, targets = own.frame_of(section.where, section.load())
    choice = section.choice
    if choice.target is None and targets:
        choice = replace(choice, target=targets if len(targets) > 1 else targets[0])
    table = own.checked(files.table_of(frame, choice))
    if expected not in (None, table.checksum):
        raise ArtefactError(
            f"{section.where}: returns other samples than when the run began; minifw train makes a "
            "new run"
        )
    return table
