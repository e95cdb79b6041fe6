"""The base of all sections of a config, and of those that name what is declared in the code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from minifw.nn.registry import Declaration

MAX_COUNT = 10**9
Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]


def _share_or_count(value: object) -> object:
    """Accept a fraction below 1 or an integer; 1.0 is refused, since it could mean either."""
    fits = (type(value) is int and 1 <= value <= MAX_COUNT) or (
        type(value) is float and 0 < value < 1
    )
    if not fits:
        raise PydanticCustomError("share_or_count", "out of bounds")
    return value


ShareOrCount = Annotated[
    int | float,
    BeforeValidator(_share_or_count),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
            ]
        }
    ),
]
VALIDATION: Any = Field(
    None,
    description="how many of the training samples, the last of them, are for validation and not "
    "trained on: their number, or a fraction below 1; by default none",
)


def no_number(value: Any) -> Any:
    """Return an integer as text, so that a Literal of bools refuses it (in Python 1 is True)."""
    return str(value) if type(value) is int else value


Normalize = Annotated[Literal[True, False, "together"], BeforeValidator(no_number)]
NORMALIZE = (
    "shift and scale each feature to mean 0 and standard deviation 1, or `together` all by the "
    "same numbers, as pixels need"
)


class Section(BaseModel):
    """Base of all sections: no key is unknown, no type is coerced, nothing is infinite."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True
    )


class Declared(Section):
    """A section of a config that names a class or function, with the arguments for it.

    `kind` names it, or `python` where it is in a user's Python file.
    """

    family: ClassVar[type[Declaration]]
    given: ClassVar[tuple[str, ...]] = ()
    """Arguments that are not keys of the config."""
    declarations: ClassVar[Mapping[str, Any]]
    """The declaration for each name that the model may have."""
    shares: ClassVar[bool] = False
    """Whether its own fields are keys of all sections of the family, not of the constructor."""

    if TYPE_CHECKING:  # the keys depend on the class

        def __getattr__(self, key: str) -> Any: ...

    @property
    def called(self) -> str:
        """The kind, or the dotted name of a class or function in a user's file."""
        fields = type(self).model_fields
        name: str = getattr(self, "kind" if "kind" in fields else "python")
        return name

    @property
    def declaration(self) -> Any:
        """Its declaration, which stands beside its formula."""
        return self.declarations[self.called]

    @property
    def word(self) -> str:
        """Its name in tables and captions."""
        word: str = self.declaration.word
        return word

    @classmethod
    def base_of(cls, names: Mapping[str, Any]) -> type[Self]:
        """Return the class of which the model of some declarations is made."""
        return cls

    def check(self) -> None:
        """Raise a MinifwError if a user's class cannot be made and used."""

    @classmethod
    def shared(cls) -> Iterable[str]:
        """Return the keys that the whole family shares, which no constructor has."""
        bases = (base for base in cls.__mro__ if issubclass(base, Declared))
        return next((base.model_fields for base in bases if vars(base).get("shares")), ())

    @property
    def keys(self) -> dict[str, Any]:
        """The keys for the constructor, with their values."""
        fields = type(self).model_fields
        known = {"kind", "python", *self.given, *self.shared()}
        return {key: getattr(self, key) for key in fields if key not in known}

    def make(self, *first: Any, **given: Any) -> Any:
        """Return the object; from `given` it gets the arguments that it has."""
        return self.declaration.make(*first, **self.keys, **given)


Fields = dict[str, tuple[Any, Any]]
