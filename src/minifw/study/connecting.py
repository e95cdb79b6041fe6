"""Begins a cluster of local workers, or connects to a Dask scheduler, and ends it.

Dask pickles what it sends: whoever can speak to a scheduler can run any code on its workers and on
its clients. So another machine's is used only where asked for, and only with TLS.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any

import dask
import distributed
from distributed import Client, LocalCluster, Security, Status

from minifw.errors import UsageError, WorkerError
from minifw.study.cluster import Cluster
from minifw.study.worker import differences, surroundings
from minifw.system.signals import on_signals

LOSSES = 2
"""So many workers may be lost with a job of local workers before it is suspected."""
CONNECTING = 20.0
"""Seconds for which a scheduler may take to answer."""
NOBODY = 120.0
"""Seconds without any local worker after which a command ends."""
ENDING = 0.5
"""Seconds that a local worker has to end by itself before it is killed."""

_QUIET = ("distributed", "distributed.client", "tornado", "tornado.application", "asyncio")
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
_NOT_FOR_WORKERS = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


@dataclass(frozen=True)
class Address:
    """Where a scheduler is, and how one may connect to it; `tls_…` are names of files."""

    text: str
    allow_remote: bool = False
    allow_mixed: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None

    def security(self) -> Security:
        """Return what Dask needs for TLS: these files, or what Dask's own config says."""
        given = {
            "tls_ca_file": self.tls_ca,
            "tls_client_cert": self.tls_cert,
            "tls_client_key": self.tls_key,
        }
        return Security(**{key: value for key, value in given.items() if value is not None})

    def url(self) -> str:
        """Return the address as Dask takes it.

        Raises:
            UsageError: it is none, or another machine's without permission or TLS.

        """
        scheme, found, place = self.text.rpartition("://")
        if not found:
            scheme = "tls" if self.tls_ca or self.tls_cert else "tcp"
        host, _, port = place.rpartition(":")
        if scheme not in ("tcp", "tls") or not host or not port.isdecimal():
            what = "must be HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT"
            raise UsageError(f"--scheduler: {what}, got '{self.text}'")
        if not _loopback(host):
            if not self.allow_remote:
                what = f"{host} is another machine, which can run any code here"
                raise UsageError(f"--scheduler: {what}; --allow-remote permits it, with TLS")
            if scheme != "tls":
                what = f"another machine needs TLS: tls://{place}"
                files = "with --tls-ca, --tls-cert and --tls-key, or Dask's own config"
                raise UsageError(f"--scheduler: {what}, {files}")
        return f"{scheme}://{place}"


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@contextmanager
def local(workers: int) -> Iterator[Cluster]:
    """Within this block there are so many worker processes, each with one thread.

    They end with the block, and at once if this process is killed: each watches a pipe to it.
    """
    settings = {
        "distributed.scheduler.allowed-failures": LOSSES,
        "distributed.admin.large-graph-warning-threshold": "1GiB",
        "distributed.deploy.lost-worker-timeout": "30 days",  # else it ends whom it misses for 15 s
    }
    with _quiet(), _environment(), dask.config.set(settings):
        cluster, client = None, None
        try:
            with on_signals(patient=True) as stop:  # a cluster that is half there cannot be ended
                try:
                    with _held_from_workers():
                        cluster = LocalCluster(
                            n_workers=workers,
                            threads_per_worker=1,
                            processes=True,
                            host="127.0.0.1",
                            dashboard_address=None,
                            memory_limit=0,
                            silence_logs=logging.CRITICAL,
                            security=Security(require_encryption=False),
                            env=_ONE_THREAD,
                            preload=["minifw.study.worker"],
                        )
                    client = Client(cluster, set_as_default=False)
                except Exception as fault:
                    stop.check()
                    what = f"--workers {workers}: they could not begin: {fault}"
                    raise WorkerError(what) from None
            stop.check()
            keep = _Keeper(cluster, workers)
            yield Cluster(client, f"--workers {workers}", None, keep)
        finally:
            with on_signals(patient=True):
                if cluster is not None:
                    _end(cluster, client)


class _Keeper:
    """Begins local workers anew where Dask has given up, as after a kill while one began."""

    def __init__(self, cluster: LocalCluster, workers: int) -> None:
        self.cluster, self.workers = cluster, workers
        self.seen = time.monotonic()

    def __call__(self) -> None:
        self.cluster.loop.add_callback(self._mend)
        if self.cluster.scheduler.workers:
            self.seen = time.monotonic()
        elif time.monotonic() - self.seen > NOBODY:
            raise WorkerError(
                f"--workers {self.workers}: no worker could begin for {NOBODY:.0f} s, as when "
                "memory is short; what is done is kept, `minifw resume` does the rest"
            )

    def _mend(self) -> None:
        there = self.cluster.workers
        for name, nanny in [*there.items()]:
            if nanny.status in (Status.closed, Status.failed):
                del there[name]
        if len(there) < self.workers:
            self.cluster.scale(self.workers)


def _end(cluster: LocalCluster, client: Client | None) -> None:
    """End local workers soon: what they are doing is done, or not wanted."""

    async def close_workers() -> None:
        closing = (nanny.close(timeout=ENDING) for nanny in cluster.workers.values())
        await asyncio.gather(*closing, return_exceptions=True)

    for close in (lambda: cluster.sync(close_workers), client and client.close, cluster.close):
        if close is not None:
            with suppress(Exception):
                close()


@contextmanager
def remote(
    address: Address, workers: int | None = None, note: Callable[[str], None] = lambda text: None
) -> Iterator[Cluster]:
    """Within this block there is a connection to the scheduler at this address.

    It waits for `workers`, at least one, and says so.

    Raises:
        UsageError: there is no scheduler, it or its workers have other versions.

    """
    url, here = address.url(), surroundings()
    _reach(url)
    with _quiet(), dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GiB"}):
        security = address.security()
        try:
            with ThreadPoolExecutor(1) as apart:  # a notebook's own thread has a loop already
                apart.submit(asyncio.run, _greeted(url, security)).result()
            client = Client(url, security=security, timeout=CONNECTING, set_as_default=False)
        except Exception as fault:  # of sockets, of TLS, of another protocol, of another version
            what = str(fault.__cause__ or fault).splitlines() or [type(fault).__name__]
            more = "is it a Dask scheduler, and with TLS if the address says so?"
            raise UsageError(f"--scheduler: {url}: no connection: {what[0]}; {more}") from None
        try:
            _wait(client, url, workers or 1, note)
            _check(client, url, address.allow_mixed, here)
            yield Cluster(client, f"--scheduler {url}", None if address.allow_mixed else here)
        finally:
            with suppress(Exception):
                client.close()


def _reach(url: str) -> None:
    """Raise a UsageError if nobody listens there; Dask itself would try again for long."""
    host, _, port = url.partition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING).close()
    except (OSError, OverflowError) as fault:
        what = getattr(fault, "strerror", None) or str(fault)
        raise UsageError(f"--scheduler: {url}: nobody answers: {what}") from None


async def _greeted(url: str, security: Security) -> None:
    """Connect once, since a Client waits without end for one that does not answer."""
    arguments = security.get_connection_args("client")
    async with asyncio.timeout(CONNECTING):
        comm = await distributed.comm.connect(url, timeout=CONNECTING, **arguments)
        comm.abort()


def _wait(client: Client, url: str, workers: int, note: Callable[[str], None]) -> None:
    """Wait for so many workers: a batch system may take long to begin them."""
    said = False
    while (there := len(client.scheduler_info(n_workers=-1)["workers"])) < workers:
        if not said:
            note(f"{url}: waiting for {workers} worker(s), {there} there")
            said = True
        time.sleep(0.5)


def _check(client: Client, url: str, allow_mixed: bool, here: dict[str, str]) -> None:
    """Raise a UsageError if a worker cannot do what would be done here, bit for bit."""
    where = f"--scheduler: {url}"
    dasks = client.run_on_scheduler(_dask_version)
    if dasks != distributed.__version__ and not allow_mixed:
        raise UsageError(
            f"{where}: has distributed {dasks}, here {distributed.__version__}; "
            "--allow-mixed tries it"
        )
    for name, info in client.scheduler_info(n_workers=-1)["workers"].items():
        if info["nthreads"] != 1:
            what = f"the worker {name} has {info['nthreads']} threads, one is needed"
            raise UsageError(f"{where}: {what}: dask worker --nthreads 1")
    for name, found in client.run(surroundings, on_error="return").items():
        if isinstance(found, BaseException):
            what = str(found).splitlines()[0] if str(found) else type(found).__name__
            raise UsageError(f"{where}: the worker {name} cannot use minifw: {what}")
        other = differences(here, found)
        if found["minifw"] != here["minifw"]:
            raise UsageError(f"{where}: the worker {name} has another minifw: {other[0]}")
        if other and not allow_mixed:
            what = f"the worker {name} differs: {'; '.join(other)}"
            more = "its results may differ in the last bits; --allow-mixed permits it"
            raise UsageError(f"{where}: {what}; {more}")


def _dask_version() -> str:
    return str(distributed.__version__)


@contextmanager
def _quiet() -> Iterator[None]:
    """Within this block nothing of Dask's log and warnings is printed: minifw says what matters."""
    loggers = [logging.getLogger(name) for name in _QUIET]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            for module in ("distributed", "tornado", "dask", "asyncio"):
                warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")
            warnings.filterwarnings("ignore", category=distributed.versions.VersionMismatchWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _environment() -> Iterator[None]:
    """Within this block the environment may be changed: Dask leaves in it what its workers need.

    Python's tracker of semaphores, a process of its own, does not complain of a killed command's.
    """
    before = dict(os.environ)
    quiet = "ignore::UserWarning:multiprocessing.resource_tracker"
    given = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = quiet if given is None else f"{given},{quiet}"
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _held_from_workers() -> Iterator[None]:
    """Within this block some signals wait; threads and processes that it makes never get them.

    A terminal sends SIGINT to all processes: this one answers it, and ends its workers.
    """
    resource_tracker.ensure_running()  # at its start it would let SIGINT through again
    before: Any = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_WORKERS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
