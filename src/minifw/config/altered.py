"""Keys of all data that alter the training samples: fewer of them, or worse ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from minifw.config.source import Source, kind_of
from minifw.data.altered import Alteration
from minifw.errors import DataError, short

if TYPE_CHECKING:
    from minifw.config.generated import Generated
    from minifw.config.model import Config

KEYS = ("share", "imbalance", "label_noise", "feature_noise")
"""The keys; a resolved config leaves out those that are not given."""
_RATIO = (
    "must be a ratio of at least 1, or a mapping of classes to fractions from above 0 to 1, as in "
    "{rare: 0.1}"
)
_MOST = 1e6


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _imbalance(value: object) -> object:
    """Accept a ratio, or fractions by the names of classes, which may be written as numbers."""
    if value is None or (_is_number(value) and 1 <= value <= _MOST):  # type: ignore[operator]
        return value
    came = kind_of(value) if isinstance(value, dict | list) else short(value)
    if isinstance(value, dict) and value:
        wrong = [v for v in value.values() if not (_is_number(v) and 0 < v <= 1)]
        if not wrong:
            return {str(name): float(v) for name, v in value.items()}
        came = f"a mapping with {short(wrong[0])}"
    raise PydanticCustomError("unfit", "{wrong}", {"wrong": f"{_RATIO}, got {came}"})


class Altered(BaseModel):
    """Keys that all data share about what is done to their training samples."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )

    share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="the fraction of the training samples that is used, the first of them; test "
        "and validation samples stay what they are; by default all",
    )
    imbalance: Annotated[
        Any,
        BeforeValidator(_imbalance),
        WithJsonSchema(
            {
                "anyOf": [
                    {"type": "number", "minimum": 1, "maximum": _MOST},
                    {
                        "type": "object",
                        "minProperties": 1,
                        "additionalProperties": {
                            "type": "number",
                            "exclusiveMinimum": 0,
                            "maximum": 1,
                        },
                    },
                ]
            }
        ),
    ] = Field(
        None,
        description="classification only: so many times as many training samples has the first "
        "class as the last, geometrically between (a table leaves samples out, generated data draw "
        "others); or the fraction of its own that a class keeps, as in {rare: 0.1}",
    )
    label_noise: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="classification only: the fraction of training labels that are changed to "
        "another class, each as likely; by default none",
    )
    feature_noise: Annotated[float, Field(ge=0, le=_MOST)] | None = Field(
        None,
        description="standard deviation of Gaussian noise on the features of training samples, in "
        "units of each feature's own; one-hot features of words get none; by default none",
    )

    @property
    def alteration(self) -> Alteration:
        """What is done to the training samples."""
        given = {key: getattr(self, key) for key in KEYS}
        return Alteration(**{key: value for key, value in given.items() if value is not None})


def note_classes(data: Generated, train: int, source: Source) -> None:
    """Note if a class of generated data would have none of so many training samples."""
    try:
        data.alteration.drawn_quotas(train, [*map(str, range(data.classes_declared))])
    except DataError as fault:
        source.add(("data", "imbalance"), str(fault))


def note_altered(config: Config, source: Source, faulty: Any = ()) -> None:
    """Note keys that do not go with the data; sections in `faulty` are passed over."""
    if "data" in faulty:
        return
    data = config.data
    for key in ("imbalance", "label_noise") if data.is_regression else ():
        if getattr(data, key) is not None:
            what = "is for classes, and the targets are numbers"
            source.add(("data", key), what, of_key=True)
    if data.is_regression or data.imbalance is None:
        return
    if getattr(data, "split", "stratified") != "stratified":
        what = "needs data.split: stratified, or each seed would have another number of samples"
        source.add(("data", "imbalance"), what, of_key=True)
