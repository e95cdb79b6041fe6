"""The times of plain and compiled steps, estimated from sizes alone; measured on one machine.

They decide whether compiling shortens a training. A clock would decide it better, but not always
the same way, and the two ways round differently.
"""

from __future__ import annotations

from dataclasses import dataclass

# Seconds. docs/decisions.md has the measurements.
COMPILE = 0.3  # to record a step and to start the compiler
COMPILE_LAYER = 0.03  # for the code of each different layer

PLAIN_STEP = 20e-6  # what a step costs in Python besides its modules
PLAIN_MODULE = 9e-6  # the calls into torch of a module, forward and backward
PLAIN_OPERATION = 1 / 25e9  # a multiplication or addition of a matrix product

COMPILED_MODULE = 0.02e-6  # a module of one network, forward and backward
COMPILED_OPERATION = 1 / 90e9

# A step is recorded on two and on three networks, an evaluation as well: as much work as this many
# plain steps of a network.
RECORDED = 7

# What a thread must have to do in an epoch of compiled steps. Calling them takes Python as long.
WORTH_A_THREAD = 0.25e-3


def compiled(modules: int, operations: int) -> float:
    """Return the seconds of a network's compiled step."""
    return COMPILED_MODULE * modules + COMPILED_OPERATION * operations


@dataclass(frozen=True)
class Work:
    """The sizes of a training: `steps` of `networks` on up to `threads` threads.

    `modules` and `different` are those of a network, all modules and the layers that differ in
    size; `operations` are the additions and multiplications of a network's step.
    """

    steps: int
    networks: int
    modules: int
    different: int
    operations: int
    threads: int
    """Threads that compiled steps use."""
    plain_threads: int
    """Threads that plain steps use."""
    recording: int = 0
    """Bytes that recording a step and an evaluation takes."""

    def plain(self) -> float:
        """Return the seconds that plain steps take."""
        calls = PLAIN_STEP + PLAIN_MODULE * self.modules
        operations = PLAIN_OPERATION * self.operations * self.networks / self.plain_threads
        return self.steps * (calls + operations)

    def compiled(self) -> float:
        """Return the seconds that compiled steps take."""
        return self.steps * self.networks * compiled(self.modules, self.operations) / self.threads

    def compiling(self) -> float:
        """Return the seconds that compiling takes, if no earlier run has left the code."""
        recording = RECORDED * PLAIN_OPERATION * self.operations
        return COMPILE + COMPILE_LAYER * self.different + recording

    @property
    def saves_time(self) -> bool:
        """Whether compiling the steps shortens the training."""
        return self.compiling() + self.compiled() < self.plain()
