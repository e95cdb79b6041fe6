"""What others install: the archives hold every file, and what is in them works by itself.

The wheel is installed into an empty environment. It borrows what minifw needs from the one that
runs the tests, and so downloads nothing; it does not see this checkout.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from conftest import ROOT

PACKAGE = ROOT / "src/minifw"
FILES = {
    path.relative_to(PACKAGE.parent).as_posix(): path.read_bytes()
    for path in PACKAGE.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**clean, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


def build(kind: str, source: Path, target: Path) -> Path:
    """Build an archive as pip and `python -m build` do, but with the Hatchling that is there."""
    done = run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", target, cwd=source)
    assert done.returncode == 0, done.stderr
    (archive,) = target.iterdir()
    return archive


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture
def unpacked(sdist: Path, tmp_path: Path) -> Path:
    return unpack(sdist, tmp_path)


def unpack(sdist: Path, target: Path) -> Path:
    with tarfile.open(sdist) as archive:
        # Python 3.11.0 to 3.11.3 have no filters; newer ones warn where none is named.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        archive.extractall(target)
    return target / sdist.name.removesuffix(".tar.gz")


def content(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {x: archive.read(x) for x in archive.namelist() if ".dist-info/" not in x}


def test_the_package_has_its_configs_as_files() -> None:
    configs = PACKAGE / "examples"
    assert {"minifw/examples/simplenet.yaml", "minifw/examples/schema.json"} <= set(FILES)
    assert not any(path.is_symlink() for path in (configs, *configs.iterdir()))


def test_the_sdist_has_every_file_of_the_package_and_no_links(sdist: Path) -> None:
    top = sdist.name.removesuffix(".tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
        assert all(member.isfile() for member in members)
        found = {
            member.name.removeprefix(f"{top}/src/"): file.read()
            for member in members
            if member.name.startswith(f"{top}/src/") and (file := archive.extractfile(member))
        }
    assert found == FILES


def test_a_wheel_is_the_same_from_the_tree_and_from_the_sdist(
    unpacked: Path, tmp_path: Path
) -> None:
    assert content(build("wheel", ROOT, tmp_path / "tree")) == FILES
    assert content(build("wheel", unpacked, tmp_path / "sdist")) == FILES


@pytest.mark.slow
def test_a_clone_without_links_gives_the_same_archives(unpacked: Path, tmp_path: Path) -> None:
    (unpacked / "configs").write_text("src/minifw/examples")  # what git writes in place of the link
    again = unpack(build("sdist", unpacked, tmp_path / "archive"), tmp_path / "again")
    assert content(build("wheel", again, tmp_path / "wheel")) == FILES


@dataclass(frozen=True)
class Installed:
    """An environment of its own with the wheel in it; commands run in an empty folder."""

    home: Path
    folder: Path

    def __call__(self, *words: object) -> str:
        done = run(self.home / "bin/minifw", *words, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installed(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    work = tmp_path_factory.mktemp("installed")
    wheel = build("wheel", unpack(sdist, work), work / "wheel")
    home, folder = work / "environment", work / "empty"
    venv.create(home, symlinks=True)
    folder.mkdir()
    python = home / "bin/python"
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-index")
    pip = run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, cwd=work)
    assert pip.returncode == 0, pip.stderr
    # A .pth file there names these folders; theirs, with the editable minifw, are not read.
    (site,) = home.glob("lib/python*/site-packages")
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "lent.pth").write_text("\n".join(lent))
    where = run(python, "-c", "import minifw; print(minifw.__file__)", cwd=folder)
    assert Path(where.stdout.strip()) == site / "minifw/__init__.py", where.stderr
    return Installed(home, folder)


def test_an_installed_minifw_trains_a_packaged_config(installed: Installed) -> None:
    words = ("--seeds", 2, "--set", "train.epochs=2", "--set", "train.compile=false")
    assert json.loads(installed("train", "simplenet", *words, "--json"))
    (run,) = (installed.folder / "runs").iterdir()
    assert json.loads((run / "manifest.json").read_text(encoding="utf-8"))["seeds"] == [0, 1]


@pytest.mark.slow
def test_an_installed_minifw_compares(installed: Installed) -> None:
    answer = installed("compare", "--seeds", 2, "--set", "train.epochs=2", "--runs-dir", "compared")
    assert "PyTorch" in answer
    assert list((installed.folder / "compared").glob("*/plots/*"))


def test_an_installed_minifw_gives_a_config_to_start_from(installed: Installed) -> None:
    assert installed("init", "mine") == "mine.yaml\n"
    assert installed("validate", "mine.yaml") == "mine.yaml: ok\n"


def test_an_installed_minifw_prints_the_schema(installed: Installed) -> None:
    assert installed("schema").encode() == FILES["minifw/examples/schema.json"]


# ----------------------------------------------------------------------------- what it promises


def pins(name: str) -> dict[str, str]:
    """Return the versions in a constraints file, by names as registries compare them."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {canonical(package): version for package, version in pairs}


def canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(x) for x in [*PROJECT["dependencies"], *(x for e in extras for x in e)]]


@pytest.mark.parametrize("needed", requirements(), ids=lambda needed: needed.name)
def test_the_lowest_version_promised_is_one_that_is_tested(needed: Requirement) -> None:
    (lowest,) = (Version(x.version) for x in needed.specifier if x.operator == ">=")
    assert Version(pins("constraints-lowest.txt")[canonical(needed.name)]) == lowest
    assert needed.specifier.contains(pins("constraints.txt")[canonical(needed.name)])
