"""Data that are drawn anew for each seed, as sections of a config."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, cast

import numpy as np
from pydantic import Field

from minifw.config.altered import Altered
from minifw.config.blame import blamed
from minifw.config.declared import (
    NORMALIZE,
    VALIDATION,
    Count,
    Declared,
    Normalize,
    ShareOrCount,
)
from minifw.config.points import own_points
from minifw.config.targets import Targeted
from minifw.data import Points
from minifw.nn.registry import DataDeclaration
from minifw.statistics.measure import Task


class Generated(Altered, Declared):
    """Keys that all generated data share."""

    family = DataDeclaration
    given = ("rng", "samples")
    shares = True

    train: Count = Field(1000, description="number of training samples, drawn anew for each seed")
    test: Count = Field(1000, description="number of test samples, likewise")
    validation: ShareOrCount | None = VALIDATION
    normalize: Normalize = Field(True, description=NORMALIZE)

    @classmethod
    def base_of(cls, names: Mapping[str, Any]) -> type[Self]:
        numbers = any(said.targets for said in names.values())
        return cast(type[Self], GeneratedNumbers) if numbers else cls

    def draw(self, generator: np.random.Generator, samples: int) -> Points:
        """Return so many points and their classes.

        Raises:
            DataError: a user's function returns something else.

        """
        with blamed(self.word):
            drawn = self.make(generator, samples)
        if self.declaration.kind:
            points: Points = drawn
            return points
        return own_points(
            self.declaration.make,
            drawn,
            samples,
            len(self.feature_names),
            self.classes_declared,
            self.target_names,
        )

    def check(self) -> None:
        self.draw(np.random.default_rng(0), 100)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What the data can be used for."""
        return ("regression",) if self.declaration.targets else ("classification",)

    @property
    def is_regression(self) -> bool:
        """Whether targets are numbers."""
        return self.tasks == ("regression",)

    @property
    def outputs(self) -> int:
        """The number of outputs of a network: one for each class, or for each target."""
        return len(self.target_names) or self.classes_declared

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features."""
        said: DataDeclaration = self.declaration
        return said.features_of(self.keys)

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of the targets of a regression."""
        said: DataDeclaration = self.declaration
        return said.targets_of(self.keys)

    @property
    def classes_declared(self) -> int:
        """The number of classes."""
        classes = self.declaration.classes
        return int(self.keys[classes] if isinstance(classes, str) else classes)


class GeneratedNumbers(Generated, Targeted):
    """Keys of generated data whose targets are numbers, or may be, as of a user's own function."""

    shares = True
