"""A learner: a network, its loss, its optimizer, and the training step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from minifw.nn import Loss, Network, Optimizer


@dataclass(frozen=True)
class Learner:
    """Takes training steps, for `fit`, the compiler, and the search for the first failing layer."""

    network: Network
    loss: Loss
    optimizer: Optimizer

    @property
    def weights(self) -> list[Tensor]:
        """The trained tensors, in the order of `network.parameters()`."""
        return [value for _, value, _ in self.network.parameters()]

    @property
    def state(self) -> list[Tensor]:
        """All tensors that a step changes, in place: weights, states, then the optimizer's state.

        States are those of modules, such as running means.
        """
        return [*self.network.tensors().values(), *self.optimizer.state.values()]

    def on(self, state: Sequence[Tensor]) -> Learner:
        """Return a learner with the same formulas that changes these tensors instead.

        `state` has the order of `self.state`: views or copies of it, or those of some seeds.
        """
        trained = len(self.network.parameters())
        count = trained + len(self.network.states())
        network = self.network.with_parameters(state[:trained], state[trained:count])
        remembered = dict(zip(self.optimizer.state, state[count:], strict=True))
        return Learner(network, self.loss, self.optimizer.with_state(network, remembered))

    def step(self, inputs: Tensor, targets: Tensor, eta: float | Tensor) -> Tensor:
        """Take one step, and return the output from which its loss was computed.

        Args:
            inputs: `(seeds, batch, features)`, or without the stack's dimension.
            targets: `(seeds, batch, …)`, as the loss takes them.
            eta: learning rate, a number, or one for each network `(seeds,)`; in compiled code a
                tensor without dimensions.

        """
        output = find_gradients(self.network, self.loss, inputs, targets)
        self.optimizer.step(eta)
        return output

    def results(self) -> Iterator[tuple[int, Tensor]]:
        """Yield what the latest step computed, in its order: (position of the module, a tensor).

        These are the results of each module, the gradients from the last parameter to the first,
        and the new weights. They are complete only outside of `Buffers.reuse`.
        """
        yield from self.network.results()
        parameters = self.network.parameters()
        for name, _, gradient in reversed(parameters):
            yield _position(name), gradient
        for name, value, _ in parameters:
            yield _position(name), value


def find_gradients(network: Network, loss: Loss, inputs: Tensor, targets: Tensor) -> Tensor:
    """Set the gradients of a network to those of the loss; return the output it was taken of.

    Shapes are those of `Learner.step`.
    """
    network.reset_gradient()
    output: Tensor = network.forward(inputs)
    network.accumulate(loss.grad(output, targets))
    return output


def _position(name: str) -> int:
    """Return the position of the module that has a parameter, such as '0.weight'."""
    return int(name.partition(".")[0])
