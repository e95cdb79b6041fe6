"""Runs that came from somebody else: whatever they hold, no traceback, and nothing outside touched.

An attacker computes checksums anew, so every change here is followed by `seal`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, get_args

import pytest
import safetensors.torch
import torch

from conftest import SMALL, Answer, Minifw
from minifw import experiment, runs
from minifw.config import loading
from minifw.config.packaged import PACKAGED
from minifw.errors import ArtefactError
from minifw.experiment import arms as trained
from minifw.experiment import checkpointer
from minifw.experiment.plan import plan as make_plan
from minifw.report import plots
from minifw.runs import arms as known_arms
from minifw.runs import records
from minifw.system import files
from minifw.training.checkpoint import Checkpoint

DEEP = b"[" * 100_000 + b"]" * 100_000
WHOLE, CUT, BEGUN = (f"20260101T00000{n}Z-simplenet-00000{n}" for n in range(3))
"""A complete `compare`; one that was cut off in PyTorch's arm; a training cut off in its first."""
TRAIN = (
    "data.train=40", "data.test=30", "train.batch_size=15", "train.epochs=3",
    "train.checkpoint_every=1", "optimizer.momentum=0.9",
)  # fmt: skip
Trained = tuple[list[known_arms.Arm], list[known_arms.Mode]]
BOTH: Trained = (["minifw", "pytorch"], ["full-batch", "sgd"])
ONE: Trained = (["minifw"], ["sgd"])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the three runs."""
    folder = tmp_path_factory.mktemp("made")
    config = loading.load(PACKAGED / "simplenet.yaml", TRAIN)
    commit = runs.Run.commit
    for name, (arms, modes), checkpoints in (
        (WHOLE, BOTH, None), (CUT, BOTH, 3), (BEGUN, ONE, 1),
    ):  # fmt: skip
        left = checkpoints

        def cut(run: runs.Run, **changes: Any) -> None:
            nonlocal left
            commit(run, **changes)
            if not changes and left is not None:
                left -= 1
                if left == 0:
                    raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runs.Run, "commit", cut)
            patch.setattr(
                checkpointer, "SHARE", 1e-9
            )  # of each part the first checkpoint and the last
            plan = make_plan(config, 2, modes, arms=arms)
            with nullcontext() if checkpoints is None else pytest.raises(KeyboardInterrupt):
                experiment.start(plan, folder / "runs", quietly)
        (path,) = (folder / "runs").iterdir()
        path.rename(folder / name)
    return folder


def quietly(label: str, total: int) -> Any:
    return nullcontext(lambda done, text: None)


@pytest.fixture
def foreign(
    tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Path]]:
    """Give a new copy of one of the runs; what is beside `runs` must be as before in the end."""
    monkeypatch.setattr(plots, "write_plots", lambda run: None)  # they take a second
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    (outside / "minifw-sgd.safetensors").write_text("mine too")
    before = state(tmp_path)

    def copy(name: str) -> Path:
        path = tmp_path / "runs" / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(made / name, path)
        return path

    yield copy
    assert state(tmp_path) == before


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """What is in the folder beside runs, and when it was written."""
    found = [path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "runs"]
    return {
        str(path): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in found
    }


def seal(path: Path, manifest: Any) -> None:
    """Write the manifest with its checksum, as one who knows how to."""
    if isinstance(manifest, dict):
        manifest.pop("checksum", None)
        text = json.dumps(manifest, sort_keys=True).encode()
        manifest["checksum"] = hashlib.sha256(text).hexdigest()
    (path / "manifest.json").write_text(json.dumps(manifest))


def manifest_of(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "manifest.json").read_bytes())
    return content


def replace_file(path: Path, name: str, content: bytes) -> None:
    """Give a file of the run another content, and the manifest its checksum."""
    (path / name).write_bytes(content)
    manifest = manifest_of(path)
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    seal(path, manifest)


def tried(minifw: Minifw, path: Path, commands: Iterable[str]) -> dict[str, Answer]:
    """Call the commands on the run: no traceback, and nothing of its text moves the cursor."""
    answers = {}
    for command in commands:
        words = [path if word == "RUN" else word for word in command.split()]
        answer = answers[command] = minifw(*words)  # any error unknown to cli.main ends the test
        assert answer.code in (0, 2, 3, 4, 6), (command, answer)
        assert "Traceback" not in answer.err
        for line in (answer.out + answer.err).split("\n"):
            assert line.isprintable(), (command, line)
        if answer.code:
            assert answer.err, (command, answer)
        if answer.code == 4 and "verify" not in command:
            assert answer.err.count("\n") == 1, (command, answer.err)
    return answers


LOOKS = (
    "runs ls", "runs ls --json", "runs show RUN", "runs show RUN --json", "runs diff RUN RUN",
    "runs verify RUN",
)  # fmt: skip
ALL = (*LOOKS, "resume RUN -q")

# ------------------------------------------------------------------------------------- manifests

VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 5, 10**400, 2**60, 1.5, 1e308, "", "yesterday", "x/../../../../pwned",
    "../../outside/precious", "/etc/hostname", "a\\b", "a\0b", "\x1b[2J\nok", "\ud800", "9" * 5000,
    [], [[]], ["sgd", "sgd"], ["../x"], [0, "1"], {}, {"x": {}}, {"../x": "../y"},
    "0001-01-01T00:00:00+00:00", "2026-13-01T00:00:00+00:00", "2026-01-01T00:00:00",
)  # fmt: skip


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of all keys of a JSON object; of files and versions only the first."""
    if isinstance(value, dict):
        few = path and path[0] in ("files", "versions")
        for key, inner in list(value.items())[: 1 if few else None]:
            yield (*path, key)
            yield from places(inner, (*path, key))


def changed(whole: dict[str, Any], place: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A copy of the manifest with another value there; KeyError stands for none at all."""
    manifest: dict[str, Any] = json.loads(json.dumps(whole))
    section = manifest
    for key in place[:-1]:
        section = section[key]
    if value is KeyError:
        del section[place[-1]]
    else:
        section[place[-1]] = value
    return manifest


def test_no_value_of_a_manifest_gives_a_traceback(
    foreign: Callable[[str], Path], minifw: Minifw
) -> None:
    """Each key gets each value; what is accepted is looked at, and some of what is refused."""
    path = foreign(CUT)
    whole = manifest_of(path) | {"resumed": [], "finished": None, "error": None}
    del whole["checksum"]  # which is always computed anew
    accepted, refused, said = [], 0, []
    for place in places(whole):
        for value in (*VALUES, KeyError):
            seal(path, changed(whole, place, value))
            try:
                runs.load(path)
            except ArtefactError as fault:
                said.append(str(fault))
                refused += 1
                if refused % 20 == 0:
                    tried(minifw, path, [ALL[refused // 20 % len(ALL)]])
            else:
                accepted.append((place, value))
                if len(accepted) % 2 == 0:
                    tried(minifw, path, [LOOKS[len(accepted) // 2 % len(LOOKS)]])
    assert refused > 700
    assert all(line.isprintable() for line in said)
    leading_out = {place[0] for place, value in accepted if ".." in str(value)}
    assert leading_out == {"error", "versions"}  # which are only shown


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("seeds",), [0]),
        (("seeds",), [0, 2]),
        (("seeds",), [0, 1, 2]),
        (("modes",), ["full-batch"]),
        (("modes",), ["sgd", "full-batch"]),
        (("arms",), ["minifw", "vmap"]),
        (("together",), 1),
        (("together",), 2**53),
        (("threads",), 2**15),
        (("parts", "minifw-full-batch", "epoch"), 2**53),
        (("parts", "minifw-full-batch", "finished"), False),
        (("parts", "minifw-full-batch", "seconds"), 5e-324),
        (("parts", "pytorch-full-batch", "finished"), True),
        (("parts", "pytorch-full-batch", "compiled"), True),
        (("parts", "pytorch-full-batch"), KeyError),
        (("files", "env.json"), KeyError),
        (("files", "config.yaml"), KeyError),
        (("files", "decision.npz"), "0" * 64),
    ],
)
def test_a_sound_value_that_is_not_this_run_s(
    foreign: Callable[[str], Path], minifw: Minifw, place: tuple[str, ...], value: Any
) -> None:
    path = foreign(CUT)
    seal(path, changed(manifest_of(path), place, value))
    tried(minifw, path, ALL)


OUT = "../../outside/precious"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"modes": ["x/../../../../pwned"], "parts": {}}, "modes.0: must be 'full-batch' or 'sgd'"),
        ({"arms": ["minifw", "../x"], "parts": {}}, "arms.1: must be 'minifw', "),
        ({"arms": ["pytorch"], "parts": {}}, "arms: must be minifw, alone or with one other"),
        ({"files": {OUT: "0" * 64}}, "files."),
        ({"files": {"/etc/hostname": "0" * 64}}, "files."),
        ({"files": {"a\\b": "0" * 64}}, "files."),
        ({"files": {"tables/../x": "0" * 64}}, "files."),
        ({"files": {".minifw-x": "0" * 64}}, "files."),
        ({"file": OUT}, "parts.minifw-sgd.file: is not a value that minifw writes here, got '../"),
        ({"file": "config.yaml"}, "parts: 'config.yaml' is not a checkpoint of 'minifw-sgd'"),
        ({"file": "checkpoints/minifw-sgd.at-99.safetensors"}, "parts: 'checkpoints/minifw-sgd.at-99"),
        ({"part": "../x"}, "parts: '../x' is not a part of this run"),
    ],
)  # fmt: skip
def test_names_that_lead_out_of_the_run(
    foreign: Callable[[str], Path], minifw: Minifw, change: dict[str, Any], said: str
) -> None:
    path = foreign(BEGUN)
    manifest = manifest_of(path)
    if "file" in change:
        manifest["parts"]["minifw-sgd"]["file"] = change["file"]
    elif "part" in change:
        manifest["parts"][change["part"]] = manifest["parts"].pop("minifw-sgd")
    elif "files" in change:
        manifest["files"] |= change["files"]
    else:
        manifest |= change
    seal(path, manifest)
    answer = minifw("resume", path, "-q")
    assert answer.code == 4
    assert answer.err.startswith(f"{path}/manifest.json: {said}")


TEXTS: dict[str, bytes] = {
    "deep": DEEP,
    "deep inside": b'{"parts": {}, "files": ' + b'{"a": ' * 500 + b"1" + b"}" * 501,
    "NaN": b'{"format": 1, "parts": {}, "files": {}, "x": NaN}',
    "infinite": b'{"format": 1, "parts": {}, "files": {}, "x": 1e999}',
    "a number of 5000 digits": b'{"format": ' + b"1" * 5000 + b"}",
    "a list": b"[]",
    "null": b"null",
    "empty": b"",
    "bytes": b"\xff\xfe\x00",
    "keys alone": b'{"files": 1, "parts": 2, "format": 1}',
    "format of tomorrow": b'{"files": {}, "parts": {}, "format": {"\x1b": 2}}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_bad_manifest_is_a_line_and_hides_no_other(
    foreign: Callable[[str], Path], minifw: Minifw, text: bytes
) -> None:
    foreign(WHOLE)
    path = foreign(CUT)
    (path / "manifest.json").write_bytes(text)
    answers = tried(minifw, path, ALL)
    lines = [line.split() for line in answers["runs ls"].out.splitlines()]
    assert [line[:2] for line in lines[1:]] == [[WHOLE, "complete"], [CUT, "damaged"]]
    for command, answer in answers.items():
        assert answer.code == (0 if " ls" in command else 4)
    assert minifw("runs", "verify", CUT, WHOLE).out.endswith("files are as written\n")
    assert minifw("runs", "rm", "--yes", CUT).code == 0
    assert not path.exists()


# --------------------------------------------------------------------------------- files of a run


JSON = (
    DEEP, b"[]", b"null", b'{"modes": null}', b'{"modes": {"sgd": {}}}', b'{"modes": {"../x": {}}}',
    b'{"modes": {"sgd": {"minifw": {"summary": {"median": "\\u001b[2J"}, "seconds": 1}}}}',
    b'{"modes": {"sgd": {"minifw": {"summary": {"min": 1, "median": 1e999, "mean": 1, "max": 1},'
    b' "seconds": 1}}}}',
    b'{"processor": ["\\u001b", 1, null], "git": {"a": [[]]}, "command_line": [1, {"x": 2}]}',
    b'{"processor": NaN}', b"\xff", b"",
)  # fmt: skip
YAML = (
    b"name: \x1b[2J\n",
    b"\xff",
    b"a: .nan\n",
    b"[" * 50,
    b"- 1\n",
    b"",
    b"x: [1, 2\n",
    b"seeds: .inf",
)


@pytest.mark.parametrize(
    ("name", "contents", "commands"),
    [
        ("results.json", JSON, ["runs ls", "runs show RUN --json", "runs diff RUN RUN"]),
        ("env.json", JSON, ["runs show RUN", "runs show RUN --json"]),
        ("config.yaml", YAML, ["runs show RUN", "runs show RUN --json", "runs diff RUN RUN"]),
        ("tables/table1.md", YAML, ["runs show RUN", "runs verify RUN"]),
    ],
)
def test_what_a_file_of_the_run_holds_gives_no_traceback(
    foreign: Callable[[str], Path],
    minifw: Minifw,
    name: str,
    contents: tuple[bytes, ...],
    commands: list[str],
) -> None:
    path = foreign(WHOLE)
    for content in contents:
        replace_file(path, name, content)
        tried(minifw, path, commands)
        if name == "results.json" and content.startswith(b'{"modes"'):
            assert "damaged" in minifw("runs", "ls", "--status", "damaged").out
            (entry,) = runs.entries(path.parent)
            assert (entry.status, entry.run is None, entry.results) == ("damaged", False, None)


@pytest.mark.parametrize("content", [*YAML, b"metrics"])
@pytest.mark.parametrize("name", ["config.yaml", "env.json"])
def test_resume_of_what_is_no_config(
    foreign: Callable[[str], Path], minifw: Minifw, name: str, content: bytes
) -> None:
    path = foreign(BEGUN)
    replace_file(path, name, content)
    (answer,) = tried(minifw, path, ["resume RUN -q"]).values()
    assert answer.code == {"config.yaml": 4, "env.json": 0}[name]


def test_the_config_that_was_checked_is_the_one_that_counts(
    foreign: Callable[[str], Path],
    minifw: Minifw,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = foreign(BEGUN)
    read = runs.Run.read

    def read_and_swap(run: runs.Run, name: str) -> bytes:
        content = read(run, name)
        if name == "config.yaml":
            linked(path / name, path / "other.yaml")
        return content

    (path / "other.yaml").write_text("name: other")
    monkeypatch.setattr(runs.Run, "read", read_and_swap)
    answer = minifw("resume", path, "-q")
    assert (answer.code, answer.err) == (0, "")
    assert (path / "config.yaml").is_symlink()


Tensors = dict[str, torch.Tensor]


def generators(value: int) -> Callable[[Tensors], object]:
    return lambda tensors: tensors["state/generators"].fill_(value)


LIES: dict[str, Callable[[Tensors], object]] = {
    "a seed more": lambda t: t.update({k: torch.cat([v, v[:1]]) for k, v in t.items() if k[0] == "0"}),
    "no seeds": lambda t: t.update({"history/diverged": t["history/diverged"][:0]}),
    "an epoch of text": lambda t: t.update({"state/epoch": torch.zeros(3, dtype=torch.int64)}),
    "an epoch that is a float": lambda t: t.update({"state/epoch": torch.tensor(1.0)}),
    "epochs to come": lambda t: t["state/epoch"].fill_(10**12),
    "a negative epoch": lambda t: t["state/epoch"].fill_(-5),
    "no evaluations": lambda t: t.update(
        {k: v[:0].flatten() for k, v in t.items() if k[:9] in ("history/e", "history/t")}
    ),
    "evaluations backwards": lambda t: t["history/epochs"].fill_(0),
    "bfloat16": lambda t: t.update({"history/test_error": t["history/test_error"].bfloat16()}),
    "a flat history": lambda t: t.update({"history/test_error": t["history/test_error"].flatten()}),
    "a layer that is not there": lambda t: t["history/diverged_layer"].fill_(1000),
    "a layer below none": lambda t: t["history/diverged_layer"].fill_(-1000),
    "all diverged": lambda t: t["history/diverged"].fill_(1),
    "weights of another dtype": lambda t: t.update({"0.weight": t["0.weight"].double()}),
    "weights of another shape": lambda t: t.update({"0.weight": t["0.weight"].flatten()}),
    "weights that are no numbers": lambda t: t["0.weight"].fill_(float("nan")),
    "no weights": lambda t: [t.pop(key) for key in list(t) if key[0].isdigit()],
    "a weight more": lambda t: t.update({"9.\x1b": torch.zeros(1)}),
    "something unknown": lambda t: t.update({"state/\x1b[2J": torch.zeros(1)}),
    "generators of ones": generators(-1),
    "generators of zeros": generators(0),
    "generators of another width": lambda t: t.update({"state/generators": torch.zeros(2, 5, dtype=torch.int64)}),
    "no generators": lambda t: t.pop("state/generators"),
    "no optimizer": lambda t: [t.pop(key) for key in list(t) if key.startswith("optimizer")],
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_checkpoint_that_lies(
    foreign: Callable[[str], Path], minifw: Minifw, lie: Callable[[Tensors], object]
) -> None:
    path = foreign(BEGUN)
    (name,) = (f"checkpoints/{file.name}" for file in (path / "checkpoints").iterdir())
    tensors = safetensors.torch.load((path / name).read_bytes())
    lie(tensors)
    replace_file(
        path, name, safetensors.torch.save({k: v.contiguous() for k, v in tensors.items()})
    )
    answers = tried(minifw, path, ["runs show RUN", "resume RUN -q"])
    assert answers["resume RUN -q"].code in (0, 3, 4)
    # And as that of a part which is finished.
    manifest = manifest_of(path)
    manifest["parts"]["minifw-sgd"]["finished"] = True
    seal(path, manifest | {"status": "failed"})
    tried(minifw, path, ["resume RUN -q"])


def header(content: bytes) -> bytes:
    return len(content).to_bytes(8, "little") + content


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0" * 8, (2**63).to_bytes(8, "little"), header(b"{}"), header(b"[]"), header(DEEP),
        header(b'{"x": {"dtype": "F32", "shape": [1000000000000], "data_offsets": [0, 4]}}'),
        header(b'{"x": {"dtype": "F32", "shape": [-1], "data_offsets": [8, 4]}}') + b"\0" * 8,
        header(b'{"x": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}') + b"\0",
        header(b'{"x": {"dtype": "\x1b", "shape": [1], "data_offsets": [0, 1]}}') + b"\0",
        header(b'{"state/epoch": {"dtype": "I64", "shape": [0], "data_offsets": [0, 0]}}'),
    ],
)  # fmt: skip
def test_bytes_that_are_no_checkpoint(content: bytes) -> None:
    with pytest.raises(ArtefactError, match="^x: ") as fault:
        Checkpoint.from_bytes(content, "x")
    assert str(fault.value).isprintable()


# ------------------------------------------------------------------------- links and special files


def linked(path: Path, target: Path) -> None:
    """Put a link in the place of a file or folder of the run, with the same content behind it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize("name", ["tables", "checkpoints", "plots"])
def test_nothing_is_written_or_deleted_through_a_linked_folder(
    foreign: Callable[[str], Path], minifw: Minifw, tmp_path: Path, name: str
) -> None:
    path = foreign(BEGUN)
    linked(path / name, tmp_path / "outside")
    answer = minifw("resume", path, "-q")
    if name != "plots":  # which the fixture leaves out
        assert (answer.code, answer.err) == (
            4, f"{path}/{name}: expects a directory, this is a link\n",
        )  # fmt: skip
    tried(minifw, path, LOOKS)
    assert minifw("runs", "rm", "--yes", path).code == 0
    assert not path.exists()


def test_nothing_is_read_through_a_link(
    foreign: Callable[[str], Path], minifw: Minifw, tmp_path: Path
) -> None:
    for name in ("manifest.json", "config.yaml", "results.json"):
        path = foreign(WHOLE)
        copy = tmp_path / "runs" / "copy"
        shutil.copy(path / name, copy)
        linked(path / name, copy)
        answer = minifw("runs", "verify", path)
        assert (answer.code, answer.err) == (
            4, f"{path}/{name}: expects a file, this is a link\n",
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["link", "dangling", "hard link", "pipe", "folder", "device"])
@pytest.mark.parametrize("name", ["lock", "manifest.json", "checkpoint"])
def test_special_files(
    foreign: Callable[[str], Path], minifw: Minifw, tmp_path: Path, name: str, kind: str
) -> None:
    path = foreign(BEGUN)
    (checkpoint,) = (path / "checkpoints").iterdir()
    file = checkpoint if name == "checkpoint" else path / name
    file.unlink(missing_ok=True)
    precious = tmp_path / "outside" / "precious"
    match kind:
        case "link":
            file.symlink_to(precious)
        case "dangling":
            file.symlink_to(tmp_path / "outside" / "new")
        case "hard link":
            file.hardlink_to(precious)
        case "pipe":
            os.mkfifo(file)
        case "folder":
            file.mkdir()
        case "device":
            file.symlink_to("/dev/zero")
    answers = tried(minifw, path, ALL)
    said = f"{file}: "
    said += {
        "pipe": "expects a file, this is a pipe", "folder": "expects a file, this is a directory",
        "hard link": "this file has a second name (a hard link) elsewhere; delete it" if name == "lock" else "damaged: ",
    }.get(kind, "expects a file, this is a link")  # fmt: skip
    assert answers["resume RUN -q"].code == 4
    assert answers["resume RUN -q"].err.startswith(said)
    status = "damaged" if name == "manifest.json" else "crashed"
    assert answers["runs ls"].out.splitlines()[1].split()[1] == status
    assert minifw("runs", "rm", "--yes", path).code == 0
    assert not path.exists()


def test_a_lock_is_read_within_bounds(foreign: Callable[[str], Path], minifw: Minifw) -> None:
    path = foreign(BEGUN)
    me = socket.gethostname()
    for content in (
        b"[" * 4000, b"{}", b"[]", b"null", b"\xff", b" " * 10**6, b'{"pid": {}, "started": 1.0, "host": 1}',
        json.dumps({"pid": 10**400, "started": 1.0, "host": me}).encode(),
        json.dumps({"pid": 2**31, "started": 1.0, "host": me}).encode(),
        json.dumps({"pid": -1, "started": 1.0, "host": me}).encode(),
        json.dumps({"pid": 1, "started": 10**400, "host": me}).encode(),
    ):  # fmt: skip
        (path / "lock").write_bytes(content)
        assert runs.load(path).status() == "crashed", content
    tried(minifw, path, LOOKS)


def test_a_manifest_has_a_size(foreign: Callable[[str], Path], minifw: Minifw) -> None:
    path = foreign(WHOLE)
    with (path / "manifest.json").open("ab") as file:
        file.truncate(records.MAX_BYTES + 1)
    assert minifw("runs", "show", path).err == (
        f"{path}/manifest.json: must hold at most 67108864 bytes, got 67108865\n"
    )


# --------------------------------------------------------------------- what may not be read or made


def test_one_that_may_not_be_read_is_a_line(
    foreign: Callable[[str], Path], minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, path = foreign(WHOLE), foreign(CUT)
    opened = os.open

    def refusing(name: Any, flags: int, *rest: Any, **more: Any) -> int:
        if Path(name).name == path.name:
            raise PermissionError(13, "Permission denied", str(name))
        return opened(name, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refusing)
    lines = [line.split()[:2] for line in minifw("runs", "ls").out.splitlines()]
    assert lines[1:] == [[WHOLE, "complete"], [CUT, "unreadable"]]
    assert len(minifw("runs", "ls", "--status", "unreadable").out.splitlines()) == 2
    answer = minifw("runs", "verify", path, whole)
    assert (answer.code, answer.err) == (
        6, f"{path}/manifest.json: cannot be read: Permission denied\n",
    )  # fmt: skip
    assert answer.out == f"{whole}: all {len(manifest_of(whole)['files'])} files are as written\n"
    answer = minifw("runs", "rm", "--yes", path, whole)
    assert (answer.code, answer.out) == (6, f"{whole}: deleted\n")
    assert answer.err == f"{path}/lock: cannot be written: Permission denied\n"
    assert path.exists()


def test_rm_deletes_the_others_of_a_tree_that_stays(
    foreign: Callable[[str], Path], minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, path = foreign(WHOLE), foreign(CUT)
    rmtree = shutil.rmtree

    def refusing(tree: Path) -> None:
        if tree == path:
            raise PermissionError(13, "Permission denied", "checkpoints")
        rmtree(tree)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refusing)
        answer = minifw("runs", "rm", "--yes", path, whole)
    assert (answer.code, answer.out) == (6, f"{whole}: deleted\n")
    assert answer.err == f"{path}: cannot be deleted: checkpoints: Permission denied\n"


def test_another_program_s_manifest_is_no_run(minifw: Minifw, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "manifest.json").write_text('{"name": "a site"}')
    assert minifw("runs", "rm", "--yes", "site").code == 2
    assert (tmp_path / "site" / "manifest.json").exists()


def test_a_run_that_ended_before_it_began_says_so(
    foreign: Callable[[str], Path], minifw: Minifw
) -> None:
    foreign(WHOLE)
    path = foreign(BEGUN)
    (path / "manifest.json").unlink()
    (path / "lock").write_text("")
    answer = minifw("runs", "ls")
    assert answer.out.splitlines()[-1].split()[:2] == [BEGUN, "empty"]
    assert "ended before training began, nothing can be resumed" in answer.err
    assert len(minifw("runs", "ls", "--status", "empty").out.splitlines()) == 2
    for words in (("runs", "show"), ("runs", "verify"), ("resume",)):
        answer = minifw(*words, path)
        assert (answer.code, answer.err) == (
            4,
            f"{path}: this run ended before training began, nothing can be resumed; "
            f"`minifw runs rm {path}` deletes it\n",
        )
    assert minifw("runs", "rm", "--yes", path).code == 0


@pytest.mark.parametrize(
    ("runs_dir", "what"),
    [
        ("dangling", "dangling: expects a directory, this is a link that leads nowhere"),
        ("dangling/a/b", "dangling: expects a directory, this is a link that leads nowhere"),
        ("file", "file: expects a directory, this is a file"),
        ("file/a", "file/a: cannot be made: Not a directory"),
        ("loop", "loop: expects a directory, this is a link that leads nowhere"),
        ("loop/a", "loop/a: cannot be made: Too many levels of symbolic links"),
        ("x" * 300, f"{'x' * 300}: cannot be made: File name too long"),
        ("/proc/x", "/proc/x: cannot be made: No such file or directory"),
    ],
)
def test_a_place_where_no_run_can_be(
    minifw: Minifw, tmp_path: Path, runs_dir: str, what: str
) -> None:
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("mine")
    answer = minifw("train", "simplenet", *SMALL, "-q", "--runs-dir", runs_dir)
    assert (answer.code, answer.out, answer.err) == (6, "", what + "\n")
    assert not (tmp_path / "nowhere").exists()
    for words in (("ls",), ("show", "x" * 300)):
        assert minifw("runs", *words, "--runs-dir", runs_dir).code in (0, 2, 6)


def test_names_lead_nowhere_else(tmp_path: Path) -> None:
    for name in ("../x", "a/../../x", "/x", "a\0b", ".", ""):
        with pytest.raises(ArtefactError, match="is not the name of a file in it"):
            files.read(tmp_path, name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (records.PartName("minifw", "full-batch"), "minifw-full-batch"),
        (records.PartName("vmap", "sgd", 2, 12), "vmap-sgd.group-2-of-12"),
    ],
)
def test_a_part_s_name_is_read_as_it_is_written(name: records.PartName, text: str) -> None:
    assert (str(name), records.PartName.parse(text)) == (text, name)
    for file in (f"checkpoints/{text}.safetensors", f"checkpoints/{text}.at-20.safetensors"):
        assert records.PartName.of_file(file) == name
    assert file == name.file(at=20)


@pytest.mark.parametrize(
    "text",
    ["", "minifw", "jax-sgd", "minifw-sgd.", "minifw-sgd.group-1-of-1", "minifw-sgd.group-01-of-2",
     "minifw-sgd.group-0-of-2", "minifw-sgd.group-1-of-2\n", "minifw-sgd.group-٢-of-3"],
)  # fmt: skip
def test_what_is_no_name_of_a_part(text: str) -> None:
    with pytest.raises(ValueError, match="is not a part of a run"):
        records.PartName.parse(text)
    assert records.PartName.of_file(f"checkpoints/{text}.safetensors") is None
    assert records.PartName.of_file(f"checkpoints/../minifw-sgd{text}") is None


def test_parts_are_in_the_order_of_their_groups() -> None:
    names = [records.PartName("minifw", "sgd", number, 12) for number in range(1, 13)]
    assert sorted(map(records.PartName.parse, sorted(map(str, names)))) == names


def test_words_of_manifests_are_those_of_experiments() -> None:
    assert set(get_args(known_arms.Arm)) == set(known_arms.ARMS) == set(trained.TRAIN)
    assert set(get_args(known_arms.Mode)) == set(known_arms.MODES)


def test_windows_is_refused_in_a_line(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['fcntl'] = None; sys.argv = ['minifw', 'runs', 'ls']\n"
        "from minifw.cli import main as cli\n"
        "sys.platform = 'win32'\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        2, "", "minifw: does not run on Windows itself; it runs in WSL (Linux within Windows)\n",
    )  # fmt: skip
