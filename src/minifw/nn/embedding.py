"""`Embedding`: a table with a trained row for each token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from minifw.errors import DtypeError, ShapeError
from minifw.nn.buffers import add_product, buffer, is_fused, product
from minifw.nn.initializers import Initializer, find_initializer, own_generators
from minifw.nn.module import Module, as_called, described
from minifw.nn.registry import Key, Twin, layer

__all__ = ["Embedding"]


@layer(
    "embedding",
    about="a row of a trained table for each whole number",
    section="The row of a trained table for each number of a sample, a token from 0 on.",
    short="embedding_dim",
    outputs=lambda inputs, keys: (*inputs, keys["embedding_dim"]),
    parameters=lambda inputs, keys: keys["num_embeddings"] * keys["embedding_dim"],
    operations=lambda inputs, keys: 0,
    inferred={},
    whole=lambda keys: keys["num_embeddings"],
    twin=Twin("Embedding", num_embeddings="num_embeddings", embedding_dim="embedding_dim"),
    case={"num_embeddings": 5, "embedding_dim": 3},
)
class Embedding(Module):
    """y = W[x]: row number x of the table, for each number x; the same as a one-hot row times W.

    For x `(…, samples, positions)`, whole numbers from 0 below num_embeddings of any dtype, y is
    `(…, samples, positions, embedding_dim)`; the first `…` is the stack and must equal that of

        weight  W  (…, num_embeddings, embedding_dim)      weight_grad  row x: Σ of dL/dy where x is

    and dL/dx is 0, since whole numbers have no gradient.

    Args:
        num_embeddings: the number of rows: of tokens.
        embedding_dim: the size of each row.
        init: the initialiser of the table, an `Initializer` or its name, for `num_embeddings`
            inputs; "pytorch" is N(0, 1), as PyTorch's is.
        stack: the leading dimensions, `(20,)` for twenty networks; `()` is one network.
        generators: one NumPy generator for each network of the stack. Without them the draw
            follows torch's global generator.
        dtype: torch.float32 or torch.float64.
        device: the device of the tensors.

    """

    weight: Tensor
    weight_grad: Tensor

    def __init__(
        self,
        num_embeddings: Annotated[int, Key("number of tokens", ge=1)],
        embedding_dim: Annotated[int, Key("numbers for each token", ge=1)],
        *,
        init: Initializer | str = "pytorch",
        stack: Sequence[int] = (),
        generators: Sequence[np.random.Generator] | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        for name, value in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ShapeError(
                    f"Embedding: {name} must be a whole number of at least 1, got {value!r}"
                )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        weight = torch.zeros(*stack, num_embeddings, embedding_dim, dtype=dtype, device=device)
        self.register_parameter("weight", weight)
        self.initialize(init, own_generators(stack) if generators is None else generators)

    @property
    def stack(self) -> tuple[int, ...]:
        return tuple(self.weight.shape[:-2])

    def initialize(
        self, init: Initializer | str, generators: Sequence[np.random.Generator]
    ) -> None:
        """Draw a new table, that of network k of the stack from `generators[k]`."""
        if len(generators) != math.prod(self.stack):
            raise ShapeError(
                f"{self}.initialize: expects one generator for each of the "
                f"{math.prod(self.stack)} network(s) of the stack, got {len(generators)}"
            )
        shape = (self.num_embeddings, self.embedding_dim)
        tables = [find_initializer(init).draw_table(generator, shape) for generator in generators]
        self.weight.copy_(torch.from_numpy(np.stack(tables)).reshape(self.weight.shape))

    def forward(self, x: Tensor) -> Tensor:
        self._check_input(x)
        weight, shape = self.weight, (*x.shape, self.embedding_dim)
        if is_fused():  # a compiler knows products, not tables
            chosen = self._one_hot(x)
            y = product(chosen, weight).reshape(shape)
        else:
            chosen = self._rows(x)
            y = torch.index_select(weight.flatten(0, -2), 0, chosen, out=buffer(weight)).view(shape)
        self.remember((x,), (y,), chosen)
        return y

    def backward(self, gradient: Tensor) -> Tensor:
        self.accumulate(gradient)
        (x,) = self.recall(gradient).inputs
        return torch.zeros_like(x, dtype=gradient.dtype)

    def accumulate(self, gradient: Tensor) -> None:
        chosen = self.recall(gradient).saved
        if chosen.is_floating_point():  # one-hot
            rows = gradient.reshape(*chosen.shape[:-1], self.embedding_dim)
            add_product(self.weight_grad, chosen.mT, rows)
        else:
            rows = gradient.reshape(-1, self.embedding_dim)
            self.weight_grad.view(-1, self.embedding_dim).index_add_(0, chosen, rows)

    def _rows(self, x: Tensor) -> Tensor:
        """Return for each x the number of its row, where those of all networks are in one table.

        Raises:
            ShapeError: an x is no row of the table.

        """
        rows = x.to(torch.int64)
        low, high = (int(end) for end in rows.aminmax())
        if low < 0 or high >= self.num_embeddings or not torch.equal(rows.to(x.dtype), x):
            ends = (float(end) for end in x.aminmax())
            came = "from {:g} to {:g}".format(*ends)
            raise ShapeError(
                f"{self}.forward: expects whole numbers from 0 to {self.num_embeddings - 1}, got "
                f"numbers {came}; num_embeddings says how many there are, and "
                "tokens must not be normalised"
            )
        stack = self.stack
        if stack:
            networks = torch.arange(math.prod(stack), device=x.device) * self.num_embeddings
            rows = rows + networks.view(*stack, *[1] * (x.ndim - len(stack)))
        return rows.flatten()

    def _one_hot(self, x: Tensor) -> Tensor:
        """Return a row of 0 and one 1 for each x, `(…, all x, num_embeddings)`."""
        numbers = torch.arange(self.num_embeddings, dtype=x.dtype, device=x.device)
        flat = x.reshape(*self.stack, -1, 1)
        return (flat == numbers).to(self.weight.dtype)

    def _check_input(self, x: Tensor) -> None:
        if not isinstance(x, Tensor) or x.dtype not in (self.weight.dtype, torch.int64):
            raise DtypeError(
                f"{self}.forward: expects a tensor of {self.weight.dtype}, as the weight is, or of "
                f"int64, got {described(x)}{as_called(x)}"
            )
        stack = self.weight.shape[:-2]
        if x.ndim < len(stack) + 2 or x.shape[: len(stack)] != stack:
            expected = ", ".join([*map(str, stack), "samples", "positions"])
            raise ShapeError(
                f"{self}.forward: expects an input of shape ({expected}), got {tuple(x.shape)}"
            )

    def __repr__(self) -> str:
        return f"Embedding({self.num_embeddings}, {self.embedding_dim})"
