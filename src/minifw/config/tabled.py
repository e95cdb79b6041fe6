"""Data that are a table: all samples are known, and each seed divides them anew."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from minifw.config.altered import Altered
from minifw.config.declared import (
    NORMALIZE,
    VALIDATION,
    Normalize,
    Section,
    ShareOrCount,
)
from minifw.config.targets import Targeted
from minifw.statistics.measure import Task

CLASSES: tuple[Task, ...] = ("classification",)


class Tabled(Altered, Targeted, Section):
    """Keys that all tables share."""

    usual_train: ClassVar[float] = 0.8
    """The fraction of training samples where nothing is said."""

    train: ShareOrCount | None = Field(
        None,
        description="training samples: their number, or a fraction below 1 of all; by default "
        "0.8, or all that are not for testing where `folds` or `test_path` says which are",
    )
    test: ShareOrCount | None = Field(
        None, description="test samples, likewise; by default all the rest"
    )
    split: Literal["random", "stratified", "grouped"] = Field(
        "random",
        description="draw training and test samples from all, or in each class as many as its "
        "share of all samples, or whole groups of samples, by the column `group`",
    )
    split_seed: Annotated[int, Field(ge=0, le=2**32)] | None = Field(
        None,
        description="one division of the samples for all seeds, drawn with this seed; by default "
        "each seed divides them anew",
    )
    folds: Annotated[int, Field(ge=2, le=100_000)] | None = Field(
        None,
        description="cross-validation: so many parts, each tested by a seed that is trained on the "
        "others; by default none",
    )
    validation: ShareOrCount | None = VALIDATION
    normalize: Normalize = Field(True, description=NORMALIZE)

    @property
    def stratified(self) -> bool:
        """Whether each part has the classes' shares of all samples."""
        return self.split == "stratified"

    @property
    def word(self) -> str:
        """The kind, as tables and captions name it."""
        kind: str = getattr(self, "kind")  # noqa: B009 - each kind has its own type
        return kind

    @property
    def about(self) -> str:
        """What is in the table, in a word or two for a caption."""
        raise NotImplementedError(f"{type(self).__name__} does not define about")


class Sklearn(Tabled):
    """A data set that comes with scikit-learn."""

    kind: Literal["sklearn"] = Field(description="a data set that comes with scikit-learn")
    name: Literal["digits", "iris", "wine", "breast-cancer", "diabetes"] = Field(
        description="which: digits (8×8 images, 10 classes), iris, wine, breast-cancer, or "
        "diabetes (a regression)"
    )

    @property
    def tasks(self) -> tuple[Task, ...]:
        return ("regression",) if self.name == "diabetes" else CLASSES

    @property
    def about(self) -> str:
        return self.name


class ModularAddition(Tabled):
    """All pairs of numbers below `modulus`; the class is their sum modulo `modulus`."""

    kind: Literal["modular-addition"] = Field(
        description="pairs of whole numbers, of which the class is (a + b) mod p"
    )
    modulus: int = Field(97, ge=2, le=500, description="p: there are p² samples and p classes")
    usual_train: ClassVar[float] = 0.5

    train: ShareOrCount | None = Field(
        None,
        description="training samples: their number, or a fraction below 1 of all; by default 0.5",
    )
    normalize: Normalize = Field(
        False,
        description="shift and scale each feature; a layer `embedding` needs the whole numbers",
    )

    @property
    def tasks(self) -> tuple[Task, ...]:
        return CLASSES

    @property
    def about(self) -> str:
        return f"modulus {self.modulus}"


class Parity(Tabled):
    """All rows of so many bits; the class is 1 where the number of ones is odd."""

    kind: Literal["parity"] = Field(
        description="rows of bits, of which the class is whether the number of ones is odd"
    )
    bits: int = Field(8, ge=1, le=16, description="bits of a sample; there are 2 to their power")

    @property
    def tasks(self) -> tuple[Task, ...]:
        return CLASSES

    @property
    def about(self) -> str:
        return f"{self.bits} bits"
