"""The data file of a config as columns, and after its rows those of its test file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from minifw.config.columned import Columned, Npz
from minifw.data import archived, files, frames
from minifw.data.frame import Frame
from minifw.data.joined import check_unchanged, joined
from minifw.data.roles import Choice, roles_of
from minifw.data.table import Table


def table_of(section: Columned | Npz, expected: str | None) -> Table:
    """Return the samples of a data file, and of its test file; their checksum may be `expected`.

    Raises:
        DataError: a file cannot be read, or not be used; with the place and the key that mends it.
        ArtefactError: it has changed.

    """
    path, second = Path(section.path), section.test_path
    if second is None:
        frame = _read(section, path, expected)
        return _table(section, frame, _choice(section, frame))
    both = [path, Path(second)]
    if expected is not None:  # before they are parsed, which may fail when they have changed
        check_unchanged(path, both[1], expected)
    frame, tests = (_read(section, each, None) for each in both)
    choice = _choice(section, frame)
    roles = roles_of(frame, choice)
    group = [] if roles.group is None else [roles.group]
    made = joined(frame, tests, [*roles.features, *roles.targets, *group])
    return _table(section, made, choice, tests.rows)


def _choice(section: Columned | Npz, frame: Frame) -> Choice:
    return section.choice(frame.names) if isinstance(section, Npz) else section.choice


def _table(section: Columned | Npz, frame: Frame, choice: Choice, tests: int = 0) -> Table:
    made = files.table_of(frame, choice, tests)
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
