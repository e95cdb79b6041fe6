"""All sections of a config that are made from declarations.

An instance is a section of a config: it knows its declaration, gives sizes, and makes the layer,
loss, optimiser or samples.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import Field, create_model

from minifw.config.fields import INSIDE, S, models_of, one_of
from minifw.config.generated import Generated
from minifw.config.layers import WIRES, LayerSection, Use
from minifw.config.parts import InitSection, LossSection, OptimizerSection, ScheduleSection
from minifw.config.short import bare_word

INITS = models_of(InitSection)
Init = one_of(INITS, InitSection, bare_word)

# An optional key of every layer whose constructor has this argument.
INSIDE["init"] = (Init | None, Field(None, description="initial weights of this layer"))

LAYERS = (
    *models_of(LayerSection),
    create_model("Use again", __base__=Use, __doc__=Use.__doc__, **WIRES),  # type: ignore[call-overload]
)
LOSSES = models_of(LossSection)
OPTIMIZERS = models_of(OptimizerSection, default="sgd")

# An optional key of a schedule that another one follows, which is not followed by a third.
_ALONE = tuple(m for m in models_of(ScheduleSection) if "then" not in m.model_fields)
INSIDE["then"] = (
    one_of(_ALONE, ScheduleSection, bare_word) | None,
    Field(None, description="the schedule that follows; by default constant"),
)
SCHEDULES = models_of(ScheduleSection)
DATA = models_of(Generated)  # all that `minifw.data` declares


def section(base: type[S], kind: str, **keys: Any) -> S:
    """Return a section of this kind with these keys and the defaults for the others."""
    model = next(
        model
        for models in (INITS, LAYERS, LOSSES, OPTIMIZERS, SCHEDULES, DATA)
        for model in models
        if issubclass(model, base) and kind in model.declarations
    )
    return cast(S, model.model_validate({"kind": kind, **keys}))
