"""What a process may use: affinity, limits, and the control groups of containers."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from minifw.system import machine

GROUP = "0::/a/b\n"
MOUNT = "30 24 0:26 {root} {at} rw shared:9 - cgroup2 cgroup rw,nsdelegate\n"
OLD = "31 24 0:27 {root} {at} rw - cgroup cgroup rw,{controllers}\n"


def proc(folder: Path, cgroup: str, mounts: str) -> Path:
    made = folder / "proc"
    made.mkdir()
    (made / "cgroup").write_bytes(os.fsencode(cgroup))
    mounts = f"22 1 8:1 / / rw - ext4 /dev/sda rw\n{mounts}"
    (made / "mountinfo").write_bytes(os.fsencode(mounts))
    return made


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.fixture
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 processors and 8 GB of free memory; its groups are below the folder returned."""
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * 10**9))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    real = machine.control_groups
    monkeypatch.setattr(machine, "control_groups", lambda name: real(name, tmp_path / "proc"))
    return tmp_path / "cg"


def test_a_quota_of_version_2_counts_and_is_rounded_up(tmp_path: Path, limits: Path) -> None:
    proc(tmp_path, GROUP, MOUNT.format(root="/", at=limits))
    write(limits / "a" / "b", cpu__max="150000 100000\n")
    assert machine.processors() == 2
    write(limits / "a", cpu__max="50000 100000\n")  # of a group above: it holds for all below
    assert machine.processors() == 1
    write(limits / "a", cpu__max="max 100000\n")
    write(limits / "a" / "b", cpu__max="max 100000\n")
    assert machine.processors() == 64


def test_in_a_container_what_is_mounted_is_the_group(tmp_path: Path, limits: Path) -> None:
    proc(tmp_path, "0::/\n", MOUNT.format(root="/", at=limits))
    write(limits, cpu__max="300000 100000")
    assert machine.processors() == 3


def test_in_a_container_that_sees_names_from_outside(tmp_path: Path, limits: Path) -> None:
    proc(tmp_path, "0::/docker/77\n", MOUNT.format(root="/../..", at=limits))
    write(limits, cpu__max="200000 100000")
    assert machine.processors() == 2


def test_a_quota_of_version_1_counts(tmp_path: Path, limits: Path) -> None:
    groups = "4:cpu,cpuacct:/docker/77\n5:memory:/docker/77\n1:name=systemd:/x\n"
    mounts = OLD.format(root="/docker/77", at=limits, controllers="cpu,cpuacct")
    mounts += OLD.format(root="/docker/77", at=limits.parent / "m", controllers="memory")
    proc(tmp_path, groups, mounts)
    write(limits, cpu__cfs_quota_us="400000\n", cpu__cfs_period_us="100000\n")
    assert machine.processors() == 4
    write(limits, cpu__cfs_quota_us="-1\n")
    assert machine.processors() == 64
    write(
        limits.parent / "m",
        memory__limit_in_bytes="30000000",
        memory__usage_in_bytes="20000000",
        memory__stat="cache 9\ninactive_file 7\ntotal_inactive_file 5000000\n",
    )
    assert machine.available() == 15_000_000


def test_a_limit_of_memory_counts_and_old_pages_of_files_are_free(
    tmp_path: Path, limits: Path
) -> None:
    proc(tmp_path, GROUP, MOUNT.format(root="/", at=limits))
    write(
        limits / "a",
        memory__max="50000000",
        memory__current="20000000",
        memory__stat="anon 3\ninactive_file 1000000\n",
    )
    assert machine.available() == 31_000_000
    write(limits / "a", memory__max="max")
    assert machine.available() == 8 * 10**9
    write(limits / "a", memory__max="10000000")  # more is taken than there may be
    assert machine.available() == 0


@pytest.mark.parametrize(
    ("cgroup", "mounts"),
    [
        ("", ""),
        ("nonsense\n0::\n::\n", "a b - c\n"),
        ("0::/\udce9\n", "30 24 0:26 / /mnt/caf\udce9\\ rw - vfat x rw\n"),
        ("0::/../../../etc\n", MOUNT.format(root="/", at="/nowhere")),
    ],
)
def test_without_groups_the_machine_counts(
    tmp_path: Path, limits: Path, cgroup: str, mounts: str
) -> None:
    proc(tmp_path, cgroup, mounts)
    assert machine.processors() == 64
    assert machine.available() > 0


def test_nonsense_in_a_group_is_no_limit(tmp_path: Path, limits: Path) -> None:
    proc(tmp_path, GROUP, MOUNT.format(root="/", at=limits))
    for text in ("", "0 0", "a b", "1 2 3", "\xff"):
        write(limits / "a", cpu__max=text, memory__max=text, memory__current=text)
        assert machine.processors() == 64
    write(limits / "a", memory__max="-1", memory__current="5", memory__stat="inactive_file x\n")
    assert machine.available() > 10**6
    write(limits / "a", memory__max="1000")
    assert machine.available() == 995


def test_a_group_below_a_folder_with_a_blank(tmp_path: Path, limits: Path) -> None:
    proc(tmp_path, GROUP, MOUNT.format(root="/", at=f"{limits}\\040x"))
    write(Path(f"{limits} x") / "a", cpu__max="200000 100000")
    assert machine.processors() == 2


def test_affinity_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert machine.processors() == 1
