"""PyTorch's arms: the same weights, data and batch order, trained as a PyTorch user trains.

With `twins.py` this is the one place where autograd, `torch.nn` and `torch.optim` are allowed; it
exists to be compared with. `Loop` trains one network after another, as is usual in PyTorch;
`Ensemble` trains them at once.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import repeat

import torch
from torch import Tensor, nn

from minifw import nn as ours
from minifw.data import Samples
from minifw.reference.twins import Criterion, criterion_like, names, optimizer_like, twin

State = dict[str, Tensor]
"""Weights and biases by their names in our network."""


class Loop:
    """One network of a stack, trained as is usual in PyTorch: a loop over batches.

    `weights` are the tensors that training changes.
    """

    def __init__(
        self,
        network: ours.Network,
        seed: int,
        loss: ours.Loss,
        eta: float,
        optimizer: ours.Optimizer,
    ) -> None:
        self.net = twin(network, seed)
        self.losses = criterion_like(loss, next(self.net.parameters(), None))
        self.optimizer = optimizer_like(optimizer, self.net.parameters(), eta)
        self.clip_norm = getattr(optimizer, "clip_norm", None)
        theirs = dict([*self.net.named_parameters(), *self.net.named_buffers()])
        self.weights = {
            mine: theirs[name].detach() for mine, name in names(network, self.net).items()
        }

    def train(
        self,
        samples: Samples,
        order: Tensor | None,
        batch_size: int,
        rates: Sequence[float] | None = None,
    ) -> Tensor:
        """Take the steps of an epoch in the order `(n,)`, and return the last loss.

        `rates` has the learning rate of each step; without them it stays as it is.
        """
        self.net.train()
        inputs, targets = samples.inputs, samples.targets
        full_batch = [slice(None)]  # all samples, in the given order
        batches = full_batch if order is None else order.split(batch_size)
        for batch, rate in zip(batches, rates or repeat(None), strict=False):
            if rate is not None:
                set_rate(self.optimizer, rate)
            self.optimizer.zero_grad()
            loss = self.losses(self.net(inputs[batch]), targets[batch])
            loss.backward()
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.net.parameters(), self.clip_norm)
            self.optimizer.step()
        return loss.detach()

    def output(self, inputs: Tensor) -> Tensor:
        """Return the output `(n, …)` for these inputs."""
        self.net.eval()
        output: Tensor = self.net(inputs)
        return output


class Ensemble:
    """All networks of a stack at once, as torch.func's tutorial on model ensembling does it.

    `weights`, stacked over seeds, are the tensors that training changes.
    """

    def __init__(
        self,
        network: ours.Network,
        seeds: int,
        loss: ours.Loss,
        eta: float,
        optimizer: ours.Optimizer,
    ) -> None:
        nets = [twin(network, seed) for seed in range(seeds)]
        self.values, self.buffers = torch.func.stack_module_state(nets)
        self.skeleton = skeleton = copy.deepcopy(nets[0]).to("meta")
        self._forward = torch.func.vmap(
            lambda values, buffers, x: torch.func.functional_call(
                skeleton, (values, buffers), (x,)
            ),
            randomness="different",
        )
        self.losses: Criterion = torch.func.vmap(
            criterion_like(loss, next(iter(self.values.values()), None))
        )
        self.optimizer = optimizer_like(optimizer, self.values.values(), eta)
        self.clip_norm = getattr(optimizer, "clip_norm", None)
        self._names = names(network, nets[0])
        self.weights = self._named()

    def _named(self) -> State:
        tensors = self.values | self.buffers
        return {mine: tensors[name].detach() for mine, name in self._names.items()}

    def train(
        self,
        samples: Samples,
        order: Tensor | None,
        batch_size: int,
        rates: Sequence[float] | None = None,
    ) -> Tensor:
        """Take the steps of an epoch in the order `(seeds, n)`, and return the last losses.

        `rates` has the learning rate of each step; without them it stays as it is.
        """
        self.skeleton.train()
        inputs, targets = samples.inputs, samples.targets
        if order is not None:
            inputs, targets = samples.in_order(order)
        batches = zip(inputs.split(batch_size, 1), targets.split(batch_size, 1), strict=True)
        for (x, target), rate in zip(batches, rates or repeat(None), strict=False):
            if rate is not None:
                set_rate(self.optimizer, rate)
            self.optimizer.zero_grad()
            losses = self.losses(self._forward(self.values, self.buffers, x), target)
            losses.sum().backward()  # each network's gradient comes from its own loss only
            if self.clip_norm is not None:
                clip_each([*self.values.values()], self.clip_norm)
            self.optimizer.step()
        return losses.detach()

    def keep(self, networks: list[int]) -> None:
        """Train only these networks of the stack from now on, by their positions."""
        old = dict(self.values)
        self.values = {
            name: value.detach()[networks].requires_grad_(value.requires_grad)
            for name, value in old.items()
        }
        self.buffers = {name: value[networks] for name, value in self.buffers.items()}
        state = self.optimizer.state
        for name, value in old.items():
            if value in state:
                state[self.values[name]] = {
                    key: part[networks] if torch.is_tensor(part) and part.ndim else part
                    for key, part in state.pop(value).items()
                }
        (group,) = self.optimizer.param_groups
        group["params"] = [*self.values.values()]
        self.weights = self._named()

    def output(self, inputs: Tensor) -> Tensor:
        """Return the outputs `(seeds, n, …)` for each seed's inputs."""
        self.skeleton.eval()
        outputs: Tensor = self._forward(self.values, self.buffers, inputs)
        return outputs


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, as a scheduler of PyTorch does."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def clip_each(values: Sequence[Tensor], most: float) -> None:
    """Do what `clip_grad_norm_` does for each network of a stack, over all its parameters."""
    gradients = [value.grad for value in values if value.grad is not None]
    norms = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients]).norm(dim=0)
    factors = (most / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factors.reshape(-1, *[1] * (gradient.ndim - 1)))
