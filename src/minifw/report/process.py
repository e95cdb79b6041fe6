"""Figures drawn by a process of its own, which imports matplotlib while this one imports torch.

Python's lock lets one thread import at a time, so only another process makes a start quicker.
Whatever happens to it, the figures are drawn: by this process then, a little later.
"""

from __future__ import annotations

import gc
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

from minifw.report import plots
from minifw.runs import Run
from minifw.system.environment import quiet_matplotlib
from minifw.system.machine import processors

PATIENCE = 60
"""Seconds for which the process waits; a training that takes longer need not save its import."""


class Artist:
    """A process that draws the figures of one run; it is begun before there is a run."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "minifw.report.process"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def write_plots(self, run: Run) -> None:
        """Write all figures of a run, as `plots.write_plots` does."""
        try:
            drawn = self._drawn(run)
        except (OSError, EOFError, pickle.UnpicklingError):  # the process has ended
            plots.write_plots(run)
        else:
            for name, made in drawn.items():
                plots.write_made(run, f"{plots.FOLDER}/{name}", made)

    def _drawn(self, run: Run) -> dict[str, plots.Made]:
        """Let the process draw the figures of a run, by name."""
        with self.process as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                pickle.dump(run, process.stdin)
                process.stdin.close()
                drawn: dict[str, plots.Made] = pickle.load(process.stdout)
            except BaseException:  # the end of the block waits for the process
                process.terminate()
                raise
            return drawn


def write_plots_soon() -> Callable[[Run], None]:
    """Return what writes the figures of a run later: an artist's, if one saves time."""
    if "torch" not in sys.modules and processors() > 1:
        with suppress(OSError):  # no more processes are allowed, say
            return Artist().write_plots
    return plots.write_plots


def main() -> None:
    """Draw the figures of the run that comes on standard input; its end is the parent's end."""
    gc.disable()  # it would take a tenth of the import
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent
    for number in (signal.SIGALRM, signal.SIGTERM):
        signal.signal(number, lambda *signalled: sys.exit(1))  # what it made is deleted
    signal.alarm(PATIENCE)
    with quiet_matplotlib():
        with plots.defaults():
            from minifw.report import curves, regions  # noqa: F401, this takes the time
        run = pickle.load(sys.stdin.buffer)
        drawn = {name: plots.made(draw) for name, draw in plots.drawings(run).items()}
    pickle.dump(drawn, sys.stdout.buffer)


if __name__ == "__main__":
    with suppress(EOFError):
        main()
