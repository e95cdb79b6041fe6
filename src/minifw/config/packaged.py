"""The configs that come with minifw, and the search for a config by name."""

from __future__ import annotations

from pathlib import Path

from minifw.errors import ArtefactError, UsageError, did_you_mean

PACKAGED = Path(__file__).parent.parent / "examples"


def find_config(name: str) -> Path:
    """Return the path of a config: a file, else the packaged config of that name.

    Raises:
        UsageError: there is neither.

    """
    path = Path(name)
    bare = path.name == name and not path.suffix
    try:
        there = path.exists()
    except OSError:  # such as a name that is too long for a file
        there = False
    known = [file.stem for file in PACKAGED.glob("*.yaml")]
    if not there and path.suffix == ".yaml" and path.stem in known:
        raise UsageError(
            f"{name}: there is no such file; the packaged config is called {path.stem}"
        )
    if there or not bare:
        return path
    if name not in known and known:
        raise UsageError(
            f"{name}: there is no such file or packaged config{did_you_mean(name, known)}"
        )
    return packaged_config(name)


def packaged_config(name: str) -> Path:
    """Return the path of a config that every complete installation has.

    Raises:
        ArtefactError: it is not there.

    """
    path = PACKAGED / f"{name}.yaml"
    if not path.is_file():
        raise ArtefactError(
            f"{path}: is missing: this installation of minifw is incomplete; install it again"
        )
    return path
