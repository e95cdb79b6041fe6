"""Random numbers for training, from tensor operations: each network of a stack has its own stream.

A stream is a row of six whole numbers, which stands among a module's states: a key of four, drawn
once, and two counters, which every call moves on by one. A number depends on the key, the call and
its place alone (a counter-based generator: Salmon et al., Parallel random numbers: as easy as
1, 2, 3, 2011). So a network draws the same numbers in any stack, after any break, and in compiled
code, where the same formula stands in C (`compile/functions.c`).

All numbers of a row are below 2^24, hence exact in float32 too. The counters run from 0 to two
different primes less one: together they repeat after 7·10^13 calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from minifw.nn.buffers import buffer, is_fused

NUMBERS = 6
"""Numbers of a stream: the key, then the counters."""
KEY = 4
KEY_BITS = 16
PRIMES = (8388593, 8388587)
"""The lengths of the counters: the largest primes below 2^23."""
BITS = 24
"""A random number is a multiple of 2^-24."""


def new_streams(
    stack: Sequence[int], generators: Sequence[np.random.Generator] | None, like: Tensor
) -> Tensor:
    """Return streams at their beginning, `(*stack, 6)`, of the dtype of `like`.

    Args:
        generators: one for each network of the stack, from which its key is drawn; None: keys come
            from torch's global generator.

    """
    count = math.prod(stack)
    if generators is None:
        keys = torch.randint(1 << KEY_BITS, (count, KEY))
    else:
        drawn = [each.integers(1 << KEY_BITS, size=KEY) for each in generators]
        keys = torch.from_numpy(np.stack(drawn).astype(np.int64))
    streams = like.new_zeros(count, NUMBERS)
    streams[:, :KEY] = keys.to(like.dtype)
    return streams.reshape(*stack, NUMBERS)


def advance(streams: Tensor) -> None:
    """Move streams on to their next call, in place."""
    step, ends = _constants(streams.dtype, streams.device)
    streams.add_(step)
    streams.masked_fill_(streams == ends, 0)


@lru_cache
def _constants(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return what is added to a stream, and the numbers that become 0: no key has this one."""
    step = torch.tensor([0] * KEY + [1, 1], dtype=dtype, device=device)
    return step, torch.tensor([1 << BITS] * KEY + [*PRIMES], dtype=dtype, device=device)


def uniform(streams: Tensor, shape: Sequence[int]) -> Tensor:
    """Return a random number for each place of each network, `(*stack, *shape)`.

    They are uniform multiples of 2^-24 from 0 to 1 - 2^-24, of the streams' dtype. A call at the
    same point of a stream gives the same ones.
    """
    if has_torch_function_unary(streams):  # a compiler records it: it has a formula of its own
        result: Tensor = handle_torch_function(uniform, (streams,), streams, shape)
        return result
    bits = _bits(streams, math.prod(shape))
    numbers = (bits >> (32 - BITS)).add_(1 << (BITS - 1)).to(streams.dtype)
    return numbers.mul_(2.0**-BITS).reshape(*streams.shape[:-1], *shape)


def mask(streams: Tensor, probability: float, shape: Sequence[int]) -> Tensor:
    """Return 1 / probability where `uniform` is less than probability, else 0, `(*stack, *shape)`.

    The probability is rounded to a multiple of 2^-24.
    """
    limit = round(probability * (1 << BITS))
    factor = 1 / probability if limit else 0.0
    if is_fused():
        is_below = uniform(streams, shape) < limit / (1 << BITS)
        return is_below.to(streams.dtype).mul_(factor)
    # A 32-bit number with a sign; `uniform` has its first 24 bits.
    bits = _bits(streams, math.prod(shape))
    last = max((limit << (32 - BITS)) - (1 << 31) - 1, -(1 << 31))
    below = torch.le(bits, last, out=buffer(bits))
    if below.dtype == torch.bool:  # there is no buffer
        below = below.to(torch.int32)
    if streams.dtype == torch.float32:  # the bits of the factor, or none
        below.neg_().bitwise_and_(_bits_of(factor, streams.device))
        result = below.view(torch.float32)
    else:
        result = below.to(streams.dtype).mul_(factor)
    return result.reshape(*streams.shape[:-1], *shape)


@lru_cache
def _bits_of(number: float, device: torch.device) -> Tensor:
    return torch.tensor(number, dtype=torch.float32, device=device).view(torch.int32)


# The finalizer of MurmurHash3 with better constants (Wellons, Prospecting for hash functions,
# 2018). Products are modulo 2^32; as numbers with a sign, which torch's operations have.
ROUNDS = ((16, 0x7FEB352D), (15, 0x846CA68B))
"""Shift and factor of each round."""
WORDS = (
    (1, 0), (1 << 16, 0), (0x5BD1E995, 1), (0xE9950000, 1 << 16),  # the key
    (0x9E3779B1, 0x85EBCA77), (0xC2B2AE3D, 0x27D4EB2F),  # the counters
)  # fmt: skip
"""By what a stream's numbers are multiplied to give the two words of a call; without pattern."""


def _signed(number: int) -> int:
    number %= 1 << 32
    return number - (1 << 32) if number >> 31 else number


@lru_cache
def _whole(number: int, device: torch.device) -> Tensor:
    """Return a kept tensor of a 32-bit number: torch would make one of a number in each call."""
    return torch.tensor(_signed(number), dtype=torch.int32, device=device)


@lru_cache
def _words(device: torch.device) -> Tensor:
    return torch.tensor([[*map(_signed, row)] for row in WORDS], dtype=torch.int32, device=device)


@lru_cache(maxsize=32)
def _places(count: int, device: torch.device) -> Tensor:
    """Return for each place a 32-bit number without pattern, a different one for each."""
    places = torch.arange(count, dtype=torch.int64)
    for shift, factor in ROUNDS:
        places = ((places ^ (places >> shift)) * factor) & 0xFFFFFFFF
    places = places ^ (places >> 16)
    return torch.where(places >> 31 > 0, places - (1 << 32), places).to(device, torch.int32)


def _bits(streams: Tensor, count: int) -> Tensor:
    """Return `count` random numbers of 32 bits for each network, `(*stack, count)` of int32."""
    numbers, factors = streams.to(torch.int32), _words(streams.device)
    if streams.is_cpu:
        words = torch.matmul(numbers, factors)
    else:  # GPUs have no products of matrices of whole numbers
        words = (numbers.unsqueeze(-1) * factors).sum(-2, dtype=torch.int32)
    first, second = words[..., :1], words[..., 1:]
    place = _places(count, streams.device)
    x = torch.add(place, first, out=buffer(place))
    shifted = torch.empty_like(x)  # its numbers are not needed afterwards
    x = _mixed(x, shifted, *ROUNDS[0]).add_(second)
    return _mixed(x, shifted, *ROUNDS[1])


def _mixed(x: Tensor, shifted: Tensor, shift: int, factor: int) -> Tensor:
    """Return (x ^ (x >> shift)) · factor, in place; `shifted` is memory."""
    torch.bitwise_right_shift(x, _whole(shift, x.device), out=shifted)
    shifted.bitwise_and_(_whole((1 << (32 - shift)) - 1, x.device))  # a shift keeps the sign
    return x.bitwise_xor_(shifted).mul_(_whole(factor, x.device))
