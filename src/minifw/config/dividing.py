"""Which of the keys that divide a table's samples go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from minifw.config.source import Source

if TYPE_CHECKING:
    from minifw.config.model import Config

OPTIONAL = ("train", "split_seed", "folds", "test_path")
"""Keys that a resolved config leaves out where they are not given."""


def note_division(config: Config, source: Source, faulty: Any = ()) -> None:
    """Note keys that do not go together; sections in `faulty` are passed over."""
    data = config.data
    split = getattr(data, "split", None) if "data" not in faulty else None
    if split is None:
        return  # the data are no table
    group = getattr(data, "group", None)
    if split == "grouped" and group is None:
        where = "data.group names their column"
        if not hasattr(data, "group"):
            where = f"data of kind {data.word} have none; a file of columns has"
        source.add(("data", "split"), f"grouped needs groups of samples: {where}")
    if split != "grouped" and group is not None:
        what = f"is for data.split: grouped, and split is {split}, which tears groups apart"
        source.add(("data", "group"), what, of_key=True)
    folds, test_path = getattr(data, "folds", None), getattr(data, "test_path", None)
    if folds is not None:
        for key in ("train", "test", "test_path", "imbalance"):
            if getattr(data, key, None) is not None:
                what = f"cannot be given with data.folds, {_WHY[key]}; --set data.{key}=null"
                source.add(("data", key), f"{what} takes it away", of_key=True)
        if not {"seed", "seeds"} & {*faulty}:
            note_seeds(config, source, config.seeds)
    elif test_path is not None and getattr(data, "test", None) is not None:
        what = "cannot be given with data.test_path, all rows of which are for testing; "
        what += "--set data.test=null takes it away"
        source.add(("data", "test"), what, of_key=True)


_WHY = {
    "train": "where all but one fold are for training",
    "test": "where one fold is for testing",
    "test_path": "which tests each sample of data.path once",
    "imbalance": "where each seed would have another number of samples",
}


def note_seeds(config: Config, source: Source, seeds: int | None) -> None:
    """Note a first seed, or a number of seeds, with which some folds would not be trained."""
    folds = getattr(config.data, "folds", None)
    if folds is None:
        return
    for key, number in (("seed", config.seed), ("seeds", seeds or folds)):
        if number % folds:
            near = (
                max(folds, folds * round(number / folds))
                if key == "seeds"
                else folds * (number // folds)
            )
            source.add(
                (key,),
                f"must be a multiple of data.folds, {folds}, so that each fold is trained as often "
                f"as any other, got {number}; {key}={near}",
            )
