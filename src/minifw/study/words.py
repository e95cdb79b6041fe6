"""What the words of a comparison mean: configs to be trained, or finished runs.

A folder that is a run is one, whatever else has its name. Then come configs, as `train` takes them:
a file, or a packaged config. What is neither is looked up among the runs, by a part of a name.
`RUN:ARM` is one arm of a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from minifw import runs
from minifw.config.packaged import find_config
from minifw.errors import UsageError
from minifw.runs import MANIFEST


@dataclass(frozen=True)
class Chosen:
    """A run to be compared, or one arm of it; `word` is what the user wrote."""

    word: str
    path: Path
    arm: str | None = None


def meant(words: Sequence[str], runs_dir: Path) -> list[Path] | list[Chosen]:
    """Return the configs' files that these words mean, or the runs.

    Raises:
        UsageError: a word means nothing, or one means a config and another a run.

    """
    found = [meaning(word, runs_dir) for word in words]
    configs = [each for each in found if isinstance(each, Path)]
    chosen = [each for each in found if isinstance(each, Chosen)]
    if configs and chosen:
        config = words[found.index(configs[0])]
        raise UsageError(
            f"compare: {config} is a config and {chosen[0].word} a run; expects configs only, "
            f"which are trained, or runs only; minifw train {config} makes a run"
        )
    return configs or chosen


def meaning(word: str, runs_dir: Path) -> Path | Chosen:
    """Return the config's file that a word means, or the run.

    Raises:
        UsageError: it means neither.

    """
    for text, arm in _parts(word):
        if _is_run(Path(text)):
            return Chosen(word, Path(text), arm)
    fault = None
    try:
        return find_config(word)
    except UsageError as error:
        fault = error
    names = [path.name for path in runs.folders(runs_dir)]
    for text, arm in _parts(word):
        if text and any(text in name for name in names):
            return Chosen(word, runs.find(runs_dir, text), arm)
    raise UsageError(f"{fault.lines[0]}; nor is there a run of this name in {runs_dir}")


def _parts(word: str) -> Iterator[tuple[str, str | None]]:
    """Yield a word whole, then divided at each colon, the last one first."""
    yield word, None
    place = len(word)
    while (place := word.rfind(":", 0, place)) > 0:
        yield word[:place], word[place + 1 :]


def _is_run(path: Path) -> bool:
    try:
        return (path / MANIFEST).is_file()
    except OSError:  # such as a name that is too long for a file
        return False


def names(words: Sequence[str]) -> list[str]:
    """Return a name for each config: the stem of its file, or the word where stems are the same."""
    stems = [Path(word).stem if word.endswith((".yaml", ".yml")) else word for word in words]
    return different(
        stem if stems.count(stem) == 1 else word for word, stem in zip(words, stems, strict=True)
    )


def different(names: Iterable[str]) -> list[str]:
    """Return the names; one that has been before gets a number."""
    found: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        found.append(next(each for each in chain([name], numbered) if each not in found))
    return found


def check_different(words: Sequence[str]) -> None:
    """Raise a UsageError if two words mean the same config."""
    known: dict[Path, str] = {}
    for word in words:
        path = find_config(word).resolve()
        before = known.get(path)
        known[path] = word
        if before is not None:
            again = "is given twice" if before == word else f"is the same file as {before}"
            raise UsageError(f"compare: {word} {again}; an arm equals itself")
