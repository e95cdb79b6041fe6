"""What others install: the archives hold every file, and what is in them works by itself.

The wheel is installed into an empty environment. It borrows the packages that its metadata ask for,
and what those ask for, from the one that runs the tests, and so downloads nothing; it sees no extra,
nothing of the developers, and not this checkout.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from importlib import metadata
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from conftest import ROOT
from minifw import __version__

PACKAGE = ROOT / "src/minifw"
FILES = {
    path.relative_to(PACKAGE.parent).as_posix(): path.read_bytes()
    for path in PACKAGE.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(
    *words: object, cwd: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        list(map(str, words)),
        cwd=cwd,
        env={**(clean if environment is None else environment), "OMP_NUM_THREADS": "1"},
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
    environment: dict[str, str] | None = None

    def __call__(self, *words: object) -> str:
        program = self.home / "bin/minifw"
        done = run(program, *words, cwd=self.folder, environment=self.environment)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout


def needed(names: list[str]) -> Iterator[metadata.Distribution]:
    """Return what is installed of these packages and of all that they need, without extras."""
    seen: set[str] = set()
    while names:
        name = canonical(names.pop())
        if name in seen:
            continue
        seen.add(name)
        yield (found := metadata.distribution(name))
        for requirement in map(Requirement, found.requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                names.append(requirement.name)


def lend(target: Path) -> None:
    """Put links to the packages that minifw needs into a folder, and to no others."""
    target.mkdir()
    for distribution in needed([Requirement(each).name for each in PROJECT["dependencies"]]):
        for top in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (target / top).exists():
                (target / top).symlink_to(str(distribution.locate_file(top)))


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
    (site,) = home.glob("lib/python*/site-packages")
    lend(work / "lent")
    (site / "lent.pth").write_text(str(work / "lent"))  # a folder to look for packages in
    where = run(python, "-c", "import minifw; print(minifw.__file__)", cwd=folder)
    assert Path(where.stdout.strip()) == site / "minifw/__init__.py", where.stderr
    return Installed(home, folder)


def test_the_environment_has_nothing_that_is_not_asked_for(installed: Installed) -> None:
    """Else the tests below would say nothing."""
    (lent,) = installed.home.parent.glob("lent")
    names = {path.name for path in lent.iterdir()}
    assert {"torch", "numpy", "jinja2", "typer"} <= names
    assert not {"pytest", "jax", "distributed", "optuna", "onnx", "sklearn", "tensorboard"} & names


HOMES = ("unset", "read-only", pytest.param("no folder", marks=pytest.mark.slow))


@pytest.mark.parametrize("kind", HOMES)
def test_an_installed_minifw_needs_no_compiler_no_git_and_no_home(
    installed: Installed, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    (tmp_path / "home").mkdir(mode=0o555)  # root may write there nevertheless
    homes = {"no folder": "/dev/null", "read-only": str(tmp_path / "home")}
    environment = {"PATH": str(tmp_path / "bin"), "LANG": "C.UTF-8"}
    if kind in homes:
        environment["HOME"] = homes[kind]
    bare = Installed(installed.home, tmp_path / "work", environment)
    if kind == "unset":
        assert "Usage: minifw" in bare("--help")
        assert bare("init", "mine") == "mine.yaml\n"
    answer = json.loads(bare("train", "simplenet", "--set", "train.epochs=2", "--json"))
    folder = bare.folder / answer["run_dir"]
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["versions"]["minifw"] == __version__
    assert (folder / "plots/errors.svg").exists()


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


# ----------------------------------------------------------------------------- what it says of itself


@pytest.fixture(scope="module")
def said(sdist: Path) -> Message:
    """The metadata of the archives."""
    with tarfile.open(sdist) as archive:
        file = archive.extractfile(f"{sdist.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert file
        return BytesParser().parsebytes(file.read())


def test_the_version_is_written_in_one_place(said: Message, sdist: Path) -> None:
    assert "version" not in PROJECT
    assert said["Version"] == __version__
    assert sdist.name == f"minifw-{__version__}.tar.gz"


def test_a_wheel_is_for_every_platform(tmp_path: Path) -> None:
    assert build("wheel", ROOT, tmp_path).name == f"minifw-{__version__}-py3-none-any.whl"


def test_the_description_leads_nowhere_that_is_not_there(said: Message) -> None:
    """On a registry's page there is no repository."""
    text = said.get_payload(decode=True)
    assert isinstance(text, bytes)
    text = text.decode()
    assert said["Description-Content-Type"] == "text/markdown"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# minifw\n")
    assert "](docs/" in readme
    assert re.findall(r"\]\((?!https://)|<img|src=|<!--", text) == []
    headings = re.compile(r"^#+ .*$", re.M)
    assert headings.findall(text) == headings.findall(readme)


@pytest.mark.parametrize(
    ("readme", "described"),
    [
        ("see [this](docs/a.md#b) and [that](https://a.b)", "see this and [that](https://a.b)"),
        ("a\n\n<!-- picture -->\n<img>\n<!-- end of picture -->\n\nb", "a\n\nb"),
    ],
)
def test_a_description_is_the_readme_without_relative_links(readme: str, described: str) -> None:
    assert runpy.run_path(str(ROOT / "hatch_build.py"))["description"](readme) == described


CITATION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["authors", "cff-version", "message", "title"],
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": {"type": "string", "minLength": 1},
        "type": {"enum": ["software", "dataset"]},
        "title": {"type": "string", "minLength": 1},
        "abstract": {"type": "string", "minLength": 1},
        "authors": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "required": ["name"], "additionalProperties": False,
                      "properties": {"name": {"type": "string", "minLength": 1}}},
        },
        "version": {"type": "string"},
        "date-released": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
        "license": {"type": "string"},
        "keywords": {"type": "array", "minItems": 1, "uniqueItems": True,
                     "items": {"type": "string", "minLength": 1}},
    },
}  # fmt: skip
"""What the schema of the Citation File Format 1.2.0 says of the keys that we use."""


def test_how_to_cite_it_is_valid_and_says_what_the_archives_say(said: Message) -> None:
    cited: dict[str, Any] = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    jsonschema.validate(cited, CITATION)
    assert cited["version"] == __version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert changes.startswith(f"# Changes\n\n## {__version__}\n")
    assert cited["license"] == said["License-Expression"]
    assert cited["title"] == f"minifw: {said['Summary'][0].lower()}{said['Summary'][1:]}"
    assert sorted(cited["keywords"]) == sorted(said["Keywords"].split(","))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**cited, "colour": "blue"}, CITATION)


def test_a_registry_is_told_who_it_is_for(said: Message) -> None:
    classifiers = said.get_all("Classifier") or []
    assert {"Typing :: Typed", "Intended Audience :: Education"} <= {*classifiers}
    assert not [
        each for each in classifiers if each.startswith("License ::")
    ]  # it is an expression
    assert said.get_all("License-File") == ["LICENSE"]
    assert said["Requires-Python"] == PROJECT["requires-python"]
    assert {*PROJECT["optional-dependencies"]} == {*(said.get_all("Provides-Extra") or [])}


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


@pytest.mark.parametrize("each", requirements(), ids=lambda each: each.name)
def test_the_lowest_version_promised_is_one_that_is_tested(each: Requirement) -> None:
    (lowest,) = (Version(x.version) for x in each.specifier if x.operator == ">=")
    assert Version(pins("constraints-lowest.txt")[canonical(each.name)]) == lowest
    assert each.specifier.contains(pins("constraints.txt")[canonical(each.name)])
