"""The mistakes that are often made in a backward pass, and what each would give here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from torch import Tensor

from minifw.errors import ModuleError
from minifw.nn import Module
from minifw.nn.checks.calls import backward_of, copy_of, forward_of, names_of
from minifw.nn.checks.equality import is_equal
from minifw.nn.checks.subject import Subject
from minifw.nn.diagnosis import Mistakes

ByTensor = dict[str, dict[str, Tensor]]
"""For each tensor, by its name, what each mistake, in words, makes of its gradient."""


class _Made(NamedTuple):
    subject: Subject
    module: Module
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    weights: Sequence[Tensor]


class MistakesOf(_Made):
    """The mistakes that may show in the gradients of a module, after `forward` and `backward`.

    `weights` are the gradients that `backward` was given.
    """

    def of(self, name: str, gradient: Tensor) -> Mistakes:
        """Return those of the parameter or input of this name, with the gradient that came."""
        like = [w for w in self.weights if w.shape == gradient.shape]
        is_input = not name.startswith("'")
        gives = self._wrong.get(name, {})
        shifts: dict[str, Tensor] = {}
        mended = self._transposed.get(name, {})
        for incoming in like if is_input else []:
            gives = gives | {
                "it is dL/dy as it came in: the derivative of the module is missing": incoming,
            }
            shifts = {
                "dL/dy itself is missing in it: the identity, a path past the layers": -incoming,
                "dL/dy itself, as it came in, is in it once too often": incoming,
            }
            mended = mended | {
                "it is the derivative alone, which is still to be multiplied by dL/dy": gradient
                * incoming,
            }
        for incoming in [] if is_input else self.weights:
            if incoming.ndim == 2 and gradient.shape == incoming.shape[:1]:
                wrong_axis = "it is summed over the wrong dimension (axis)"
                gives = gives | {wrong_axis: incoming.sum(-1)}
        return Mistakes(gives, shifts, mended, self._sizes)

    @property
    def _sizes(self) -> Mapping[str, int]:
        sizes: dict[str, int] = {}
        for word, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            if tensors[0].ndim > 1:
                sizes |= {"samples": tensors[0].shape[-2], word: tensors[0].shape[-1]}
        return sizes

    @property
    def _transposed(self) -> ByTensor:
        """Return each input's gradient by `backward` with one square parameter transposed.

        If `backward` wrongly uses Wᵀ for W, the transposed parameter gives the right result.
        """
        found: ByTensor = {}
        values = [value for _, value, _ in self.module.parameters()]
        for place, (name, value, _) in enumerate(self.module.parameters()):
            if value.ndim > 1 and value.shape == value.mT.shape:
                turned = copy_of(
                    self.module,
                    [*values[:place], value.mT.clone(), *values[place + 1 :]],
                    value.dtype,
                )
                forward_of(turned, self.inputs)
                why = f"backward seems to use '{name}' transposed"
                for word, gradient in zip(
                    names_of("input", len(self.inputs)),
                    backward_of(turned, self.weights),
                    strict=True,
                ):
                    found.setdefault(word, {})[why] = gradient
        return found

    @property
    def _wrong(self) -> ByTensor:
        """Return what the given wrong modules make of each gradient."""
        found: ByTensor = {}
        for words, make in self.subject.wrong.items():
            module = replace(self.subject, make=make).module()
            own = module.parameters()
            if len(own) != len(self.module.parameters()):
                continue
            with suppress(RuntimeError, ModuleError):  # a mistake may need other shapes
                for (_, value, _), (_, right, _) in zip(own, self.module.parameters(), strict=True):
                    value.copy_(right)
                outputs = forward_of(module, self.inputs)
                if not all(map(is_equal, outputs, self.outputs)):
                    continue  # the derivative of another function
                returned = backward_of(module, self.weights)
                names = names_of("input", len(self.inputs))
                gradients = [*zip(names, returned, strict=True)]
                gradients += [
                    (f"'{name}'", value.clone()) for name, _, value in module.parameters()
                ]
                for name, gradient in gradients:
                    found.setdefault(name, {})[words] = gradient
        return found
