"""The options for training on several processes or machines, which several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from minifw.cli.planning import check_count, check_threads
from minifw.errors import UsageError
from minifw.system import machine

if TYPE_CHECKING:
    from minifw.study.connecting import Address
    from minifw.study.running import MakeExecutor, Pieces

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Train in N processes of one thread each. With --scheduler: the number of workers "
        "to wait for. Needs minifw[cluster].",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Train on the workers of this Dask scheduler, as tcp://127.0.0.1:8786.",
        show_default=False,
    ),
]
AllowRemote = Annotated[
    bool,
    typer.Option("--allow-remote", help="Allow a scheduler on another machine, with TLS."),
]
AllowMixed = Annotated[
    bool,
    typer.Option(
        "--allow-mixed",
        help="Allow workers with other versions or processors: last bits may differ.",
    ),
]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca", metavar="FILE", help="Who must have signed the scheduler's certificate."
    ),
]
TlsCert = Annotated[
    Path | None,
    typer.Option("--tls-cert", metavar="FILE", help="The certificate to show the scheduler."),
]
TlsKey = Annotated[
    Path | None, typer.Option("--tls-key", metavar="FILE", help="The key of that certificate.")
]


class Place(NamedTuple):
    """Where a study's jobs are done, and into how many they are divided."""

    executor: MakeExecutor
    pieces: int | Pieces


class Where(NamedTuple):
    """What a user has asked for with these options."""

    workers: int | None = None
    scheduler: str | None = None
    allow_remote: bool = False
    allow_mixed: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @property
    def here(self) -> bool:
        """Whether jobs are done in this process."""
        return self.workers is None and self.scheduler is None

    def threads(self, threads: int | None) -> int | None:
        """Return the number of threads for this process, after all of these options are checked.

        Raises:
            UsageError: an option is wrong, or lacks another one.

        """
        check_threads(threads)
        check_count("--workers", self.workers)
        if self.here:
            if any(self[2:]):
                raise self._needs_scheduler()
            return threads
        if self.scheduler is None and any(self[2:]):
            raise self._needs_scheduler()
        option = "--workers" if self.scheduler is None else "--scheduler"
        if find_spec("distributed") is None:
            raise UsageError(f"{option} needs minifw[cluster]: pip install 'minifw[cluster]'")
        if threads not in (None, 1):
            what = f"a worker trains on one thread, got {threads}; --workers N uses N processors"
            raise UsageError(f"--threads: {what}")
        if self.scheduler is None:
            if self.workers is not None:
                machine.check_threads("--workers", self.workers)
        else:
            for file in self[4:]:
                if file and not Path(str(file)).is_file():
                    raise UsageError(f"{file}: there is no such file for TLS")
            self.address().url()
        return 1

    def _needs_scheduler(self) -> UsageError:
        given = next(name for name in self._fields[2:] if getattr(self, name))
        return UsageError(f"--{given.replace('_', '-')}: only with --scheduler ADDRESS")

    def address(self) -> Address:
        """Return the scheduler's address, and how one may connect to it."""
        from minifw.study.connecting import Address

        tls = (None if file is None else str(file) for file in self[4:])
        return Address(self.scheduler or "", self.allow_remote, self.allow_mixed, *tls)


@contextmanager
def executor_for(where: Where, note: Callable[[str], None]) -> Iterator[Place]:
    """Within this block jobs can be done where the user has asked for; `note` says what it does.

    Raises:
        UsageError: there is no such cluster, or it cannot do them.

    """
    if where.here:
        from minifw.study.executors import InProcess

        yield Place(InProcess, 1)
        return
    from minifw.study import connecting

    made = (
        connecting.local(where.workers or 1)
        if where.scheduler is None
        else connecting.remote(where.address(), where.workers, note)
    )
    with made as cluster:
        yield Place(cluster.executor, cluster.pieces)
