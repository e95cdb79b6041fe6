"""The loss of a config: one, or a list of heads, each of which has its own loss.

    loss:
      - {of: classes, kind: cross-entropy}
      - {of: copy, kind: mse, target: inputs, weight: 0.1}

The network's output is the heads side by side, and so are the targets; see `nn.LossSum`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from minifw import nn
from minifw.config.fields import models_of, one_of
from minifw.config.layers import Name
from minifw.config.parts import LossSection
from minifw.config.sections import LOSSES
from minifw.config.short import bare_word
from minifw.nn.registry import Shape

INPUTS = "inputs"
"""The target of a head that is to give the network's input again."""
ONE, SEVERAL = "one loss", "several losses"


class HeadSection(LossSection):
    """One of several outputs of a network, with its loss."""

    shares = True

    of: Name = Field(description="the layer whose output it is, by its name")
    weight: Annotated[float, Field(ge=0)] = Field(1.0, description="factor of this loss in the sum")
    target: Literal["classes", "targets", "inputs"] | None = Field(
        None,
        description="what it predicts: the classes, or numbers, of the samples, as is the default; "
        "or the inputs themselves",
    )

    @property
    def predicts(self) -> bool:
        """Whether it predicts what the data are about, and not the inputs."""
        return self.target != INPUTS


HEADS = models_of(HeadSection)


def _how_many(value: object) -> str:
    return SEVERAL if isinstance(value, (list, tuple)) else ONE


if TYPE_CHECKING:
    Losses = LossSection | tuple[HeadSection, ...]
else:
    One = one_of(LOSSES, LossSection, bare_word)
    Head = one_of(HEADS, HeadSection, bare_word)
    Heads = Annotated[tuple[Head, ...], Field(min_length=1, max_length=100, strict=False)]
    Losses = Annotated[
        Annotated[One, Tag(ONE)] | Annotated[Heads, Tag(SEVERAL)], Discriminator(_how_many)
    ]


def heads(losses: Losses) -> tuple[HeadSection, ...]:
    """Return the heads; none where there is one loss."""
    return losses if isinstance(losses, tuple) else ()


def each(losses: Losses) -> list[tuple[tuple[str | int, ...], LossSection]]:
    """Return each loss with its path in the config."""
    if not isinstance(losses, tuple):
        return [(("loss",), losses)]
    return [(("loss", place), head) for place, head in enumerate(losses)]


def main(losses: Losses) -> LossSection:
    """Return the loss of the output whose errors are measured: the first that predicts classes."""
    if not isinstance(losses, tuple):
        return losses
    return next((head for head in losses if head.predicts), losses[0])


def one_hot(losses: Losses) -> bool:
    """Return whether targets of classes are one-hot rows; beside other heads they are."""
    if isinstance(losses, tuple):
        return True
    wanted: bool = losses.declaration.one_hot
    return wanted


def in_words(losses: Losses) -> str:
    """Return the loss for a caption, `mse mean`, or `cross-entropy mean + 0.1 mse mean`."""

    def words(loss: LossSection) -> str:
        return f"{loss.word} {getattr(loss, 'reduction', '')}".rstrip()

    if not isinstance(losses, tuple):
        return words(losses)
    return " + ".join(
        words(head) if head.weight == 1 else f"{head.weight:g} {words(head)}" for head in losses
    )


def columns(losses: Losses, shapes: Sequence[Shape]) -> slice | None:
    """Return the columns of the output whose errors are measured; None where they are all.

    `shapes` are those of the heads' outputs.
    """
    first = 0
    for head, (width,) in zip(heads(losses), shapes, strict=False):
        if head.predicts:
            return slice(first, first + width)
        first += width
    return None


def made(losses: Losses, shapes: Sequence[Shape]) -> nn.Loss:
    """Return the loss of a network whose heads have these shapes."""
    if not isinstance(losses, tuple):
        one: nn.Loss = losses.make()
        return one
    parts: list[Any] = [
        (head.make(), width, head.weight) for head, (width,) in zip(losses, shapes, strict=True)
    ]
    return nn.LossSum(*parts)
