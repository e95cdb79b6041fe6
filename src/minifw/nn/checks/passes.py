"""Claims about forward and backward: right gradients, that add, and nothing else that changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from minifw.errors import CheckError
from minifw.nn import Module
from minifw.nn.checks.calls import (
    backward_of,
    checked_returned,
    clear,
    forward_of,
    gradients_of,
    names_of,
    weights_of,
)
from minifw.nn.checks.equality import Unchanged, check_same, complain, is_equal, which
from minifw.nn.checks.mistakes import MistakesOf
from minifw.nn.checks.subject import Subject
from minifw.nn.differences import compare
from minifw.nn.module import as_tuple


@dataclass(frozen=True)
class PassClaims(Subject):
    """What is claimed of one call of forward and backward, and of two."""

    def gradients(self) -> None:
        """Every parameter's and input's gradient is that of finite differences."""
        module, inputs, outputs, weights = self.started()
        returned = checked_returned(module, inputs, backward_of(module, weights))
        pairs = [(f"'{name}'", value, gradient) for name, value, gradient in module.parameters()]
        pairs += [
            (name, value, gradient)
            for name, value, gradient in zip(
                names_of("input", len(inputs)), inputs, returned, strict=True
            )
            if value.is_floating_point()  # whole numbers have no gradient
        ]
        mistakes = MistakesOf(self, module, inputs, outputs, weights)
        found = [
            compare(
                name,
                value,
                gradient.clone(),
                lambda: forward_of(module, inputs),
                weights,
                mistakes=partial(mistakes.of, name, gradient.clone()),
                tolerance=self.tolerance,
            )
            for name, value, gradient in pairs
            if value.numel()
        ]
        complain(module, [one for one in found if not one.ok or one.kinks])

    def adds(self) -> None:
        """`backward` adds to the gradients and does not overwrite them."""
        module, inputs, _, weights = self.started()
        backward_of(module, weights)
        once = gradients_of(module)
        for _, _, gradient in module.parameters():
            gradient.fill_(1)
        forward_of(module, inputs)
        backward_of(module, weights)
        for (name, _, found), new in zip(module.parameters(), once, strict=True):
            why = "backward must add to it, and overwrites it" if is_equal(found, new) else ""
            what = f"the gradient of '{name}', which held 1 before backward,"
            check_same(module, what, found, 1 + new, why)

    def accumulates(self) -> None:
        """`accumulate` changes the gradients of parameters as `backward` does."""
        module, inputs, _, weights = self.started()
        backward_of(module, weights)
        expected = gradients_of(module)
        clear(module)
        forward_of(module, inputs)
        module.accumulate(*weights)
        for (name, _, found), right in zip(module.parameters(), expected, strict=True):
            what = f"the gradient of '{name}' by accumulate"
            check_same(module, what, found, right, "it must be that of backward")

    def resets(self) -> None:
        """`reset_gradient` sets the gradients to zero, in place."""
        module, _, _, weights = self.started()
        backward_of(module, weights)
        before = list(module.parameters())
        module.reset_gradient()
        for name, _, found in before:
            why = "it must be set to 0 in place"
            check_same(
                module,
                f"the gradient of '{name}' after reset_gradient",
                found,
                torch.zeros_like(found),
                why,
            )

    def changes_nothing(self) -> None:
        """`forward` and `backward` change no tensor that they did not make."""
        module, inputs = self.module(), self.inputs()
        watched = [
            *zip(names_of("input", len(inputs)), inputs, strict=True),
            *((f"parameter '{name}'", value) for name, value, _ in module.parameters()),
        ]
        with Unchanged(module, "forward", watched):
            outputs = as_tuple(module.forward(*inputs))
        weights = weights_of(outputs)
        watched += [
            *zip(names_of("output", len(outputs)), outputs, strict=True),
            *zip(names_of("gradient", len(weights)), weights, strict=True),
        ]
        with Unchanged(module, "backward", watched):
            first = [gradient.clone() for gradient in as_tuple(module.backward(*weights))]
            again = as_tuple(module.backward(*weights))
        for name, old, new in zip(names_of("input", len(first)), first, again, strict=False):
            why = "the first changed what forward had remembered"
            check_same(module, f"the gradient of {name} by a second backward", new, old, why)

    def used_twice(self) -> None:
        """A module used twice gets the gradients of both uses: each call keeps what it needs."""
        module, inputs = self.module(), self.inputs()
        other = [x.flip(0) * 0.75 if x.is_floating_point() else x.flip(0) for x in inputs]
        uses = [inputs, other]
        weights = [weights_of(forward_of(module, xs), seed) for seed, xs in enumerate(uses)]
        alone = [self._use(module, xs, ws) for xs, ws in zip(uses, weights, strict=True)]
        calls = []
        for xs in uses:
            forward_of(module, xs)
            calls.append(module.call)
        again: list[tuple[tuple[Tensor, ...], list[Tensor]]] = []
        for k in (1, 0):  # as in a network's backward pass: the last use first
            clear(module)
            module.call = calls[k]
            again.insert(0, (backward_of(module, weights[k]), gradients_of(module)))
        stale = (
            "what the first use needs was overwritten by the second: it must belong to the call, "
            "hand it to self.remember in forward"
        )
        names = [name for name, _, _ in module.parameters()]
        for word, came, right in zip(("first", "second"), again, alone, strict=True):
            why = stale if word == "first" else ""
            what = f"used twice in a network, the {word} use's gradient of"
            for place, name in enumerate(names_of("input", len(inputs))):
                check_same(module, f"{what} {name}", came[0][place], right[0][place], why)
            for place, name in enumerate(names):
                check_same(module, f"{what} '{name}'", came[1][place], right[1][place], why)
        clear(module)
        for k in (1, 0):
            forward_of(module, uses[k])
            backward_of(module, weights[k])
        for place, name in enumerate(names):
            found = module.parameters()[place].gradient
            one, two = (gradients[place] for _, gradients in alone)
            missing = {
                "the gradient of the second use is missing": one,
                "the gradient of the first use is missing": two,
            }
            what = f"used twice in a network, the gradient of '{name}'"
            check_same(module, what, found, one + two, which(found, missing))

    def _use(
        self, module: Module, inputs: list[Tensor], weights: list[Tensor]
    ) -> tuple[tuple[Tensor, ...], list[Tensor]]:
        """Return the gradients of inputs and parameters for one use alone."""
        clear(module)
        forward_of(module, inputs)
        return backward_of(module, weights), gradients_of(module)

    def keeps_input(self) -> None:
        """`input` is the input of the latest `forward`, and None before."""
        module, inputs = self.module(), self.inputs()
        if module.input is not None:
            raise CheckError(f"{module}: input must be None before forward")
        module.forward(*inputs)
        kept: tuple[Tensor, ...] = () if module.input is None else as_tuple(module.input)
        if len(kept) != len(inputs) or any(a is not b for a, b in zip(kept, inputs, strict=True)):
            raise CheckError(
                f"{module}: input must be what forward was given (the same tensors); call "
                "self.remember((x,), (y,)) in forward, or set self.input = x"
            )
