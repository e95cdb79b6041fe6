"""The keys of a config, their types and bounds, as frozen pydantic models.

Layers, losses, optimisers, initialisers and generated data are declared beside their formulas;
`sections.py` makes models from the declarations, and `fields.py` knows how. Wherever a mapping has
a `kind`, a bare word stands for a mapping with that kind alone: `init: kaiming-normal`. A layer may
also be one key, `linear: 25` or `linear: {out_features: 25}`. `loading.py` turns a file into a
`Config`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from minifw.config import sections
from minifw.config.axes import DRAWS, MAX_CELLS
from minifw.config.columned import FILES
from minifw.config.declared import Count, Section, no_number
from minifw.config.fields import one_of
from minifw.config.generated import Generated
from minifw.config.heads import Losses
from minifw.config.layers import LayerSection
from minifw.config.mode import Mode
from minifw.config.name import NAME, name_fault
from minifw.config.own_table import OwnTable
from minifw.config.parts import InitSection, OptimizerSection, ScheduleSection
from minifw.config.sections import section
from minifw.config.short import bare_layer, bare_word, sgd_by_default
from minifw.config.tabled import ModularAddition, Parity, Sklearn, Tabled


def _check_name(name: str) -> str:
    if wrong := name_fault(name):
        raise PydanticCustomError("name", "{wrong}", {"wrong": wrong})
    return name


Positive = Annotated[float, Field(gt=0)]


TABLED = (*FILES, Sklearn, ModularAddition, Parity)

if TYPE_CHECKING:
    Data = Generated | Tabled
    Layer = LayerSection
    Optimizer = OptimizerSection
    Schedule = ScheduleSection
    Init = InitSection
else:
    Init = sections.Init
    Data = one_of((*sections.DATA, *TABLED), (Generated, OwnTable), bare_word)
    Layer = one_of(sections.LAYERS, LayerSection, bare_layer)
    Optimizer = one_of(sections.OPTIMIZERS, OptimizerSection, sgd_by_default)
    Schedule = one_of(sections.SCHEDULES, ScheduleSection, bare_word)


def word_of(data: Data) -> str:
    """Return the kind of the data as tables and captions name it."""
    return data.word


class Stopping(Section):
    """When a seed stops before the last epoch: by its own samples for validation."""

    patience: Count = Field(
        20, description="evaluations in a row without a new best, after which a seed stops"
    )
    min_delta: Annotated[float, Field(ge=0)] = Field(
        0.0, description="by how much a value must be below the best to be a new best"
    )
    monitor: Literal["loss", "error"] = Field(
        "loss", description="which value of the samples for validation is watched"
    )
    restore: Literal["best", "last"] = Field(
        "best", description="the weights a seed ends with: of its best evaluation, or the last"
    )


class Train(Section):
    """How to train; `batch_size` is used in mode sgd only."""

    mode: Mode = Field(
        "full-batch", description="all samples in one step, or batches in a new order each epoch"
    )
    batch_size: Count | None = Field(None, description="samples a step in mode sgd")
    eta: Positive = Field(description="learning rate, which `schedule` multiplies in each step")
    schedule: Schedule = Field(
        default_factory=lambda: section(ScheduleSection, "constant"),
        description="how the learning rate changes from step to step",
    )
    epochs: Count = Field(description="passes over the training samples")
    eval_every: Count = Field(10, description="epochs between measurements of loss and errors")
    checkpoint_every: Count = Field(
        50,
        description="epochs between checkpoints, from which an interrupted run can be resumed; "
        "fewer are written where they would take more than 2 % of the time",
    )
    early_stopping: Stopping | None = Field(
        None,
        description="stops each seed that has learned enough, by its samples of data.validation; "
        "by default all train to the last epoch",
    )
    record: Literal["gradients"] | None = Field(
        None,
        description="keep at each evaluation how large activations, gradients, weights and updates "
        "of each layer are: `gradients`; minifw's own networks, not PyTorch's",
    )
    tensorboard: bool = Field(
        False,
        description="write event files of loss and errors for TensorBoard, in the run's folder "
        "`tensorboard`; needs minifw[tensorboard]",
    )
    compile: Annotated[Literal["auto", True, False], BeforeValidator(no_number)] = Field(
        "auto",
        description="compile steps to machine code: true, false, or auto (where it saves time)",
    )


_AXIS: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "minItems": 1, "description": "values, for a grid"},
        *(
            {
                "type": "object",
                "properties": {kind: {"description": what, "type": "array", **bounds}},
                "required": [kind],
                "additionalProperties": False,
            }
            for kind, (what, bounds) in DRAWS.items()
        ),
    ]
}


class SweepSection(Section):
    """What `minifw sweep` varies."""

    over: Annotated[
        dict[str, Any], WithJsonSchema({"type": "object", "additionalProperties": _AXIS})
    ] = Field(
        min_length=1,
        description="by dotted key, a list of values, or a draw: {log-uniform: [low, high]}, "
        "uniform, integers, or choice; `train.eta:train.batch_size` has pairs",
    )
    samples: Annotated[int, Field(ge=1, le=MAX_CELLS)] | None = Field(
        None, description="how many cells to draw, if `over` has draws"
    )
    seed: int = Field(0, ge=0, le=2**32, description="seed of these draws")


class Config(Section):
    """One experiment. Every key is described in the comments of configs/simplenet.yaml."""

    name: Annotated[
        str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": NAME})
    ] = Field(description="names the run's folder: letters, digits, - and _")
    seed: int = Field(0, ge=0, le=2**32, description="the first seed; network k uses seed + k")
    seeds: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None,
        description="number of seeds; by default 1 for train and 20 for compare, with data.folds "
        "one for each fold",
    )
    dtype: Literal["float32", "float64"] = Field("float32", description="precision of all numbers")
    device: Literal["cpu", "cuda"] = Field("cpu", description="where to train")
    data: Data = Field(description="the samples to learn from")
    network: tuple[Layer, ...] = Field(
        min_length=1,
        strict=False,
        description="layers, from the features to one output for each class",
    )
    init: Init = Field(
        default_factory=lambda: section(InitSection, "pytorch"),
        description="initial weights, unless a layer has its own `init`",
    )
    loss: Losses = Field(
        description="the loss that training minimises, or a list of heads with a loss each"
    )
    optimizer: Optimizer = Field(
        default_factory=lambda: section(OptimizerSection, "sgd"),
        description="the optimiser, which takes the steps",
    )
    train: Train = Field(description="how to train")
    sweep: SweepSection | None = Field(None, description="what `minifw sweep` varies")

    def count(self, usual: int) -> int:
        """Return how many seeds there are: without `seeds` one a fold, or the usual number."""
        return self.seeds or getattr(self.data, "folds", None) or usual
