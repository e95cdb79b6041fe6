"""The PyTorch twin of what minifw has: the same network, loss and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from minifw import nn as ours

Criterion = Callable[[Tensor, Tensor], Tensor]


def twin(network: ours.Network, seed: int) -> nn.Sequential:
    """Return network number `seed` of a stack as an nn.Sequential, weights copied."""
    layers: list[nn.Module] = []
    for module in network:
        match module:
            case ours.Linear():
                layer = nn.Linear(
                    module.in_features,
                    module.out_features,
                    bias=module.bias is not None,
                    dtype=module.weight.dtype,
                    device=module.weight.device,
                )
                with torch.no_grad():
                    layer.weight.copy_(module.weight[seed])
                    if module.bias is not None:
                        layer.bias.copy_(module.bias[seed])
                layers.append(layer)
            case ours.ReLU():
                layers.append(nn.ReLU())
            case ours.Tanh():
                layers.append(nn.Tanh())
            case ours.Sigmoid():
                layers.append(nn.Sigmoid())
            case _:
                raise TypeError(f"there is no PyTorch twin of {module}")
    return nn.Sequential(*layers)


def criterion_like(loss: ours.Loss) -> Criterion:
    """Return the PyTorch loss with the formula and the scale of `loss`, for one network."""
    kind = {ours.LossMSE: nn.MSELoss, ours.LossCrossEntropy: nn.CrossEntropyLoss}[type(loss)]
    if loss.reduction != "sample":
        criterion: Criterion = kind(reduction=loss.reduction)
        return criterion
    total = kind(reduction="sum")

    def per_sample(output: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = total(output, target)
        return loss / len(output)

    return per_sample


def gradients(
    network: ours.Network, loss: ours.Loss, batches: Sequence[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    """Return autograd's gradients of the loss on each seed's batch, stacked over seeds."""
    criterion = criterion_like(loss)
    per_seed = []
    for seed, (inputs, target) in enumerate(batches):
        net = twin(network, seed)
        criterion(net(inputs), target).backward()
        per_seed.append([p.grad for p in net.parameters() if p.grad is not None])
    return [torch.stack(same) for same in zip(*per_seed, strict=True)]
