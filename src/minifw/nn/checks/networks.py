"""Claims about a module among others: its copies, its state, its memory, its stack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minifw.errors import CheckError
from minifw.nn import Buffers
from minifw.nn.checks.calls import (
    Stack,
    backward_of,
    copy_of,
    forward_of,
    gradients_of,
    moved,
    results_of,
    states_again,
    states_of,
    weights_of,
)
from minifw.nn.checks.equality import check_same, which
from minifw.nn.checks.subject import Subject
from minifw.nn.module import as_tuple


@dataclass(frozen=True)
class NetworkClaims(Subject):
    """What is claimed of a module as a part of networks, and of a stack of them."""

    def copies(self) -> None:
        """A copy with other parameters computes with those and does not change the original."""
        module, inputs, outputs, weights = self.started()
        values = [1.5 * value for _, value, _ in module.parameters()]
        states = states_of(module)
        copied, other = copy_of(module, values, torch.float64), self.module()
        if len(copied.parameters()) != len(values):
            raise CheckError(
                f"{module}: has {len(values)} parameters, a copy of it {len(copied.parameters())}: "
                "modules shared in the original must be shared in the copy"
            )
        for (_, value, _), new in zip(other.parameters(), values, strict=True):
            value.copy_(new)
        for (_, value), new in zip(other.states(), states, strict=True):
            value.copy_(new)
        results = []
        for one in (copied, other):
            ends = forward_of(one, inputs)
            results.append([*ends, *backward_of(one, weights), *gradients_of(one)])
        for found, expected in zip(*results, strict=True):
            what = "what a copy with other parameters computes"
            check_same(
                module, what, found, expected, "it must be what a new module with those does"
            )
        for name, _, gradient in module.parameters():
            what = f"the gradient of '{name}' after backward of a copy"
            check_same(
                module,
                what,
                gradient,
                torch.zeros_like(gradient),
                "a copy must have gradients of its own",
            )
        copied.forward(*inputs)
        for (name, value), old in zip(module.states(), states, strict=True):
            check_same(module, f"'{name}' after use of a copy", value, old, "it must not change")
        for found, old in zip(forward_of(module, inputs), outputs, strict=True):
            check_same(module, "the output after use of a copy", found, old, "it must not change")

    def state_goes_round(self) -> None:
        """`state_dict` is a copy; a module that loads it computes the same."""
        module, other = self.module(self.stack), self.module(self.stack)
        inputs = self.inputs(self.stack)
        for value in other.tensors().values():
            value.add_(1)
        state = module.state_dict()
        other.load_state_dict(state)
        pairs = zip(forward_of(other, inputs), forward_of(module, inputs), strict=True)
        for found, expected in pairs:
            check_same(module, "the output after load_state_dict", found, expected, exact=True)
        for (name, found), expected in zip(other.states(), states_of(module), strict=True):
            check_same(module, f"'{name}' after load_state_dict", found, expected, exact=True)
        for value in module.tensors().values():
            value.add_(1)
        for name, value, _ in other.parameters():
            why = "a state must be a copy that does not change with the module"
            check_same(module, f"'{name}' of a state", state[name], value, why, exact=True)

    def stays_float32(self) -> None:
        """With parameters and inputs of float32 everything is float32."""
        module = self.module(dtype=torch.float32)
        outputs = forward_of(module, [x.float() for x in self.inputs()])
        returned = backward_of(module, list(outputs))
        for name, tensor in results_of(module, outputs, returned).items():
            if tensor.dtype != torch.float32:
                raise CheckError(
                    f"{module}: with float32 {name} must be of torch.float32, got {tensor.dtype}; "
                    "tensors that the passes make need dtype=x.dtype"
                )

    def reuses_memory(self) -> None:
        """Results in reused memory are the same as in new memory."""
        plain, reused = self.module(self.stack), self.module(self.stack)
        buffers = Buffers()
        for step in range(3):  # the second and third pass overwrite the first
            inputs = [x + step / 8 if x.is_floating_point() else x for x in self.inputs(self.stack)]
            outputs = forward_of(plain, inputs)
            weights = weights_of(outputs, step)
            expected = results_of(plain, outputs, backward_of(plain, weights))
            # No copies of results, so that one that is overwritten shows.
            with buffers.reuse("step"):
                with states_again(reused):
                    ends = as_tuple(reused.forward(*inputs))
                    returned = as_tuple(reused.backward(*weights))
                found = results_of(reused, ends, returned)
                why = "a result is written to a buffer that is still needed"
                for name, right in expected.items():
                    what = f"{name} in reused memory"
                    check_same(plain, what, found[name], right, why, exact=True)

    def stacked(self, stack: Stack) -> None:
        """Each network of a stack gives the same results and takes the same step as alone."""
        state = self.module(stack).state_dict()
        module, inputs, outputs, weights = self.started(stack)
        found = results_of(module, outputs, backward_of(module, weights))
        found |= moved(module, inputs)
        module.update_parameters(0.1)
        found |= {f"'{name}' after a step": value for name, value, _ in module.parameters()}
        lanes = list(np.ndindex(*stack))
        alone = [
            self._alone(
                {name: value[lane] for name, value in state.items()},
                [x[lane] for x in inputs],
                [w[lane] for w in weights],
            )
            for lane in lanes
        ]
        for what in found:
            right = [results[what] for results in alone]
            if found[what].shape != (*stack, *right[0].shape):
                raise CheckError(
                    f"{module}: in a stack {stack}, {what} must have the shape "
                    f"{(*stack, *right[0].shape)}, got {tuple(found[what].shape)}"
                )
            wrong = {"it is the sum over all networks of the stack": torch.stack(right).sum(0)}
            wrong |= {
                f"it is that of network {list(lane)}": result
                for lane, result in zip(lanes, right, strict=True)
            }
            for lane, result in zip(lanes, right, strict=True):
                came = found[what][lane]
                why = (
                    which(came, wrong)
                    or "a network must not depend on the other networks of the stack"
                )
                where = f"in a stack {stack}, network {list(lane)}: {what}"
                check_same(module, where, came, result, why, "alone")

    def _alone(
        self, state: dict[str, Tensor], inputs: list[Tensor], weights: list[Tensor]
    ) -> dict[str, Tensor]:
        """Return outputs, gradients and parameters after a step of one network."""
        module = self.module()
        module.load_state_dict(state)
        results = results_of(module, forward_of(module, inputs), backward_of(module, weights))
        results |= moved(module, inputs)
        return results | {
            f"'{name}' after a step": value - 0.1 * gradient
            for name, value, gradient in module.parameters()
        }
