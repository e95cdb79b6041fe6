"""What the targets of the data are: classes, or the numbers of a regression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from minifw.config.source import Source
from minifw.statistics.measure import Task

if TYPE_CHECKING:
    from minifw.config.model import Config

OPTIONAL = ("task", "normalize_target", "unit")
"""Keys that a resolved config leaves out where they are not given."""


class Targeted(BaseModel):
    """Keys that all data share about their targets."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )

    task: Task | None = Field(
        None,
        description="classification, whose targets are classes, or regression, whose targets are "
        "numbers; by default classification, unless data of this kind can only be numbers",
    )
    normalize_target: bool | None = Field(
        None,
        description="regression only: shift and scale each target to mean 0 and standard deviation "
        "1 of the training samples; errors are in its own unit all the same; by default true",
    )
    unit: Annotated[str, Field(min_length=1, max_length=40)] | None = Field(
        None, description="regression only: the unit of the targets, for tables and figures"
    )

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the data can be used for, what they are by default first."""
        return ("classification", "regression")

    @property
    def is_regression(self) -> bool:
        """Whether targets are numbers."""
        return (self.task or self.tasks[0]) == "regression"


def note_task(config: Config, source: Source, faulty: Any = ()) -> None:
    """Note keys that do not go with the task of the data; sections in `faulty` are passed over."""
    if "data" in faulty:
        return
    data = config.data
    asked = getattr(data, "task", None)
    if asked is not None and asked not in data.tasks:
        what = "numbers" if data.tasks == ("regression",) else "classes"
        source.add(("data", "task"), f"must be {data.tasks[0]}: the targets here are {what}")
        return
    if data.is_regression and getattr(data, "split", "random") == "stratified":
        what = "stratified needs classes, and the targets are numbers; random divides them"
        source.add(("data", "split"), what)
    task = "regression" if data.is_regression else "classification"
    if not data.is_regression:
        for key in ("normalize_target", "unit"):
            if getattr(data, key, None) is not None:
                what = "is for regression only; data.task: regression predicts numbers"
                source.add(("data", key), what, of_key=True)
        if isinstance(getattr(data, "target", None), list):
            what = "must be one column of classes; several columns are for data.task: regression"
            source.add(("data", "target"), what)
    if "loss" in faulty:
        return
    from minifw.config import heads  # which are made of sections

    losses = heads.each(config.loss)
    wanted = "targets" if data.is_regression else "classes"
    if not any(loss.predicts for _, loss in losses):
        source.add(("loss",), f"one of the heads must predict the {wanted}, as without `target`")
    for path, loss in losses:
        if getattr(loss, "target", None) not in (None, "inputs", wanted):
            source.add((*path, "target"), f"must be {wanted} or inputs, as data.task is {task}")
        elif loss.predicts and task not in loss.declaration.tasks:
            what = f"{loss.word} is for {loss.declaration.tasks[0]}, and data.task is {task}"
            source.add(path, f"{what}; mse, l1 and huber take numbers")
