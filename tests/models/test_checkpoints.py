"""Checkpoints are data: every format of the authors is read, whatever wants to run code or is damaged is refused."""

from __future__ import annotations

import argparse
import gzip
import json
import pickle
import re
import shutil
import sys
import tarfile
import zipfile
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mien.core.errors import MissingExtraError, ModelError, UsageError
from mien.core.weights import safetensors_metadata, sha256_of
from mien.models import checkpoints, zoo

WEIGHTS: dict[str, Tensor] = OrderedDict(
    {"layer.weight": torch.tensor([[0.25, -3.0, 1 / 3]]), "layer.bias": torch.tensor([7.0]), "steps": torch.tensor(41)}
)


class Tiny(nn.Module):
    IGNORED: ClassVar = ("steps",)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)


class Other(Tiny):
    pass


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zoo knows `tiny`, `small` (another name of it) and `other`."""
    module = ModuleType("tiny_network")
    vars(module).update(Tiny=Tiny, Other=Other)
    monkeypatch.setitem(sys.modules, "tiny_network", module)
    for name, factory in (("tiny", "Tiny"), ("small", "Tiny"), ("other", "Other")):
        monkeypatch.setitem(zoo.MODELS, name, f"tiny_network:{factory}")


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) and a[key].dtype == b[key].dtype for key in a)


def saved(path: Path, what: Any, kind: str = "zip") -> Path:
    match kind:
        case "zip":
            torch.save(what, path)
        case "legacy":
            torch.save(what, path, _use_new_zipfile_serialization=False)
        case "safetensors":
            save_file(dict(what), path)
        case _:
            path.write_bytes(pickle.dumps(what, int(kind)))
    return path


# --- what is read ---------------------------------------------------------------------------------------------------

FORMATS = [("w.pt", "zip"), ("w.pth", "legacy"), ("w.pth.tar", "zip"), ("w.ckpt", "zip"), ("w.pkl", "legacy")]


@pytest.mark.parametrize(("name", "kind"), [*FORMATS, ("w.safetensors", "safetensors"), ("misnamed.pt", "safetensors")])
def test_every_format_gives_the_same_tensors(name: str, kind: str, tmp_path: Path) -> None:
    assert equal(checkpoints.read(saved(tmp_path / name, WEIGHTS, kind)), dict(WEIGHTS))


def test_tensors_of_a_gpu_land_on_the_cpu_and_half_precision_stays(tmp_path: Path) -> None:
    weights = {"a": torch.ones(2, dtype=torch.float16), "b": torch.ones(2, dtype=torch.bfloat16)}
    with zipfile.ZipFile(saved(tmp_path / "w.pt", weights)) as there:
        parts = {name: there.read(name) for name in there.namelist()}
    parts["w/data.pkl"] = parts["w/data.pkl"].replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
    assert b"cuda:0" in parts["w/data.pkl"]
    with zipfile.ZipFile(tmp_path / "gpu.pt", "w") as made:
        for name, data in parts.items():
            made.writestr(name, data)
    assert equal(checkpoints.read(tmp_path / "gpu.pt"), weights)


class ModelCheckpoint:
    """What Lightning leaves: callbacks by class, with state."""


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_what_training_scripts_leave_beside_the_weights_is_passed_over(kind: str, tmp_path: Path) -> None:
    ModelCheckpoint.__module__ = "pytorch_lightning.callbacks.model_checkpoint"
    ModelCheckpoint.__qualname__ = "ModelCheckpoint"
    module = ModuleType(ModelCheckpoint.__module__)
    vars(module)["ModelCheckpoint"] = ModelCheckpoint
    names = ("pytorch_lightning", "pytorch_lightning.callbacks", ModelCheckpoint.__module__)
    rest = {
        "args": argparse.Namespace(lr=0.1, layers=[1, 2]),
        "best": (np.float64(0.9), np.int64(3), np.bool_(True)),
        "curve": np.arange(3.0),
        "callbacks": {ModelCheckpoint: {"best": np.float32(1)}},
        "optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 0.1}]},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setitem(sys.modules, name, module)
        path = saved(tmp_path / "w.ckpt", {"state_dict": WEIGHTS, **rest}, kind)
    assert equal(checkpoints.read(path), dict(WEIGHTS))


def test_a_folder_is_read_as_parts_with_the_file_name_as_prefix(tmp_path: Path) -> None:
    saved(tmp_path / "DE.pt", {"a": torch.ones(1)})
    saved(tmp_path / "IQA.pth", {"net": {"a": torch.zeros(1)}}, "legacy")
    (tmp_path / "README.txt").write_text("not a checkpoint")
    assert equal(checkpoints.read(tmp_path), {"DE.a": torch.ones(1), "IQA.a": torch.zeros(1)})


# --- what is refused ------------------------------------------------------------------------------------------------


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


class SystemCanary(Canary):
    def __reduce__(self) -> Any:
        import os

        return os.system, (f"touch '{self.path}'",)


KINDS = ["zip", "legacy", "0", "2", "4"]


@pytest.mark.parametrize("canary", [Canary, SystemCanary])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_that_runs_code_is_refused_and_has_not_run(kind: str, canary: type[Canary], tmp_path: Path) -> None:
    sung = tmp_path / "sung"
    path = saved(tmp_path / "evil.pt", {"layer.weight": torch.ones(1), "x": canary(sung)}, kind)
    with pytest.raises(ModelError, match=re.escape(str(path))) as caught:
        checkpoints.read(path)
    assert not sung.exists()
    assert re.search("opens checkpoints as data only|torch.save did not write|is not a checkpoint", str(caught.value))


@pytest.mark.parametrize("canary", [Canary, SystemCanary])
def test_the_canary_sings_where_pickles_are_trusted(canary: type[Canary], tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(canary(tmp_path / "sung")))
    assert (tmp_path / "sung").exists()


def test_the_refusal_names_what_the_file_wants(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"wants (posix|nt)\.system when it is opened"):
        checkpoints.read(saved(tmp_path / "evil.pt", {"x": SystemCanary(tmp_path / "sung")}))
    with pytest.raises(ModelError, match=r"wants torch\.nn\.modules\.linear\.Linear .*save its state_dict\(\) alone"):
        checkpoints.read(saved(tmp_path / "whole.pt", nn.Linear(1, 1)))


def test_a_stand_in_does_not_let_code_in(tmp_path: Path) -> None:
    """State and arguments of an allowed name are refused like everything else."""

    class Hidden(argparse.Namespace):
        def __reduce__(self) -> Any:
            return argparse.Namespace, (), {"x": SystemCanary(tmp_path / "sung")}

    with pytest.raises(ModelError, match="system"):
        checkpoints.read(saved(tmp_path / "evil.pt", {"args": Hidden(), **WEIGHTS}))
    assert not (tmp_path / "sung").exists()


def archive(path: Path, names: list[str]) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for name in names:
            made.writestr(name, b"x")
    return path


def packed(path: Path) -> Path:
    with tarfile.open(path, "w") as made:
        made.add(saved(path.with_name("inner.pt"), WEIGHTS), "inner.pt")
    return path


NO_CHECKPOINTS = [
    ("empty", lambda p: p.write_bytes(b""), "is empty: fetch it again"),
    ("page", lambda p: p.write_text("\n <!DOCTYPE html><html>"), "is a web page, not a checkpoint"),
    ("lfs", lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid"), "pointer of Git LFS"),
    ("text", lambda p: p.write_text("import torch\n"), "is not a checkpoint: neither safetensors nor"),
    ("noise", lambda p: p.write_bytes(np.random.default_rng(0).bytes(999)), "is not a checkpoint"),
    ("gz", lambda p: p.write_bytes(gzip.compress(b"x")), "is a compressed archive: unpack it"),
    ("tar", packed, "is a tar archive: unpack it"),
    ("zip", lambda p: archive(p, ["a.txt", "b.txt"]), r"zip archive without a checkpoint in it \(a.txt, b.txt\)"),
    ("script", lambda p: archive(p, ["m/data.pkl", "m/constants.pkl", "m/code/m.py"]), "is a TorchScript archive"),
    ("numbers", lambda p: saved(p, {"a": 1}, "2"), "is a pickle that torch.save did not write"),
    ("list", lambda p: saved(p, [torch.ones(1)]), "no state dict but one object of type list"),
    ("tensor", lambda p: saved(p, torch.ones(1)), "no state dict but one object of type Tensor"),
    ("nothing", lambda p: saved(p, {}), "it is empty"),
    ("epochs", lambda p: saved(p, {"epoch": 3}), "not a state dict of tensors: epoch"),
    ("keys", lambda p: saved(p, {"net": {1: torch.ones(1)}}), "names that are no text"),
    ("sparse", lambda p: saved(p, {"a": torch.ones(2, 2).to_sparse()}), "a is not a plain tensor"),
    ("folder", lambda p: p.mkdir(), "there is no checkpoint in the folder"),
    ("missing", lambda p: None, "cannot be read: No such file"),
]


@pytest.mark.parametrize(("name", "make", "message"), NO_CHECKPOINTS, ids=[n for n, *_ in NO_CHECKPOINTS])
def test_what_is_no_checkpoint_says_what_it_is(name: str, make: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(ModelError, match=message) as caught:
        checkpoints.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_file_cut_anywhere_is_refused(kind: str, tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole", WEIGHTS, kind).read_bytes()
    path = tmp_path / "cut"
    for length in range(0, len(whole), max(len(whole) // 25, 1)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelError):
            checkpoints.read(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_damaged_bytes_give_tensors_or_a_clear_refusal(kind: str, tmp_path: Path, rng: np.random.Generator) -> None:
    whole = saved(tmp_path / "whole", WEIGHTS, kind).read_bytes()
    path, refused = tmp_path / "damaged", 0
    for _ in range(30):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            assert all(isinstance(value, Tensor) for value in checkpoints.read(path).values())
        except ModelError:
            refused += 1
    assert refused


# --- load and convert -----------------------------------------------------------------------------------------------


def test_load_builds_reads_and_loads(tmp_path: Path) -> None:
    net = checkpoints.load(
        "tiny", saved(tmp_path / "w.pt", {"state_dict": {f"module.{k}": WEIGHTS[k] for k in WEIGHTS}})
    )
    assert isinstance(net, Tiny) and not net.training
    assert torch.equal(net.layer.weight, WEIGHTS["layer.weight"])


def test_load_refuses_other_weights_unknown_names_and_folders(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pt", {"other": torch.ones(1)})
    with pytest.raises(ModelError, match="not weights of Tiny"):
        checkpoints.load("tiny", path)
    with pytest.raises(ModelError, match="did you mean tiny"):
        checkpoints.load("tiy", path)
    with pytest.raises(ModelError, match=r"mien models convert .* --as tiny"):
        checkpoints.load("tiny", tmp_path)


def test_convert_keeps_every_bit_under_the_authors_names(tmp_path: Path) -> None:
    weights = {**WEIGHTS, "layer.bias": WEIGHTS["layer.bias"].half()}
    source, out = saved(tmp_path / "w.pt", {"model": weights}), tmp_path / "w.safetensors"
    assert checkpoints.convert("tiny", source, out) == out
    assert equal(load_file(out), weights)
    assert out.stat().st_mode == source.stat().st_mode
    before, after = checkpoints.load("tiny", source), checkpoints.load("tiny", out)
    assert equal(before.state_dict(), after.state_dict())


def test_the_header_says_where_a_converted_file_comes_from(tmp_path: Path) -> None:
    source, out = saved(tmp_path / "w.pt", WEIGHTS), tmp_path / "w.safetensors"
    checkpoints.convert("tiny", source, out)
    from mien import __version__

    facts = json.loads(safetensors_metadata(out)["mien"])
    assert facts == {"network": "tiny", "source": "w.pt", "source_sha256": sha256_of(source), "mien": __version__}


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    source = saved(tmp_path / "w.pt", WEIGHTS)
    files = [checkpoints.convert("tiny", source, tmp_path / f"{n}.safetensors").read_bytes() for n in range(4)]
    assert len(set(files)) == 1


def test_half_precision_is_stored_on_request(tmp_path: Path) -> None:
    source, out = saved(tmp_path / "w.pt", WEIGHTS), tmp_path / "w.safetensors"
    checkpoints.convert("tiny", source, out, half=True)
    stored = load_file(out)
    assert {key: value.dtype for key, value in stored.items()} == {
        "layer.weight": torch.float16,
        "layer.bias": torch.float16,
        "steps": torch.int64,
    }
    net = checkpoints.load("tiny", out)
    assert net.state_dict()["layer.weight"].dtype == torch.float32
    assert torch.allclose(net.state_dict()["layer.weight"], WEIGHTS["layer.weight"], rtol=5e-4, atol=0)


def test_numbers_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    source = saved(tmp_path / "w.pt", {**WEIGHTS, "layer.bias": torch.tensor([7e4])})
    with pytest.raises(ModelError, match=r"layer\.bias has numbers above 65504"):
        checkpoints.convert("tiny", source, tmp_path / "w.safetensors", half=True)
    assert not (tmp_path / "w.safetensors").exists()


def test_tensors_that_share_memory_are_written_each(tmp_path: Path) -> None:
    whole = torch.arange(6.0)
    weights = {"layer.weight": whole[:3].reshape(1, 3), "layer.bias": whole[3:4], "steps": whole[:3]}
    source, out = saved(tmp_path / "w.pt", weights), tmp_path / "w.safetensors"
    checkpoints.convert("tiny", source, out)
    assert equal(load_file(out), weights)


def test_a_folder_of_parts_becomes_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = tmp_path / "parts"
    parts.mkdir()
    saved(parts / "layer.pt", {"weight": WEIGHTS["layer.weight"], "bias": WEIGHTS["layer.bias"]})
    out = checkpoints.convert("tiny", parts, tmp_path / "w.safetensors")
    assert equal(load_file(out), {key: WEIGHTS[key] for key in ("layer.weight", "layer.bias")})
    first = json.loads(safetensors_metadata(out)["mien"])["source_sha256"]
    saved(parts / "layer.pt", {"weight": WEIGHTS["layer.weight"], "bias": WEIGHTS["layer.bias"] + 1})
    checkpoints.convert("tiny", parts, out, force=True)
    assert json.loads(safetensors_metadata(out)["mien"])["source_sha256"] != first


def test_an_existing_file_is_replaced_only_by_force(tmp_path: Path) -> None:
    source, out = saved(tmp_path / "w.pt", WEIGHTS), tmp_path / "w.safetensors"
    out.write_text("precious")
    with pytest.raises(UsageError, match="is there already"):
        checkpoints.convert("tiny", source, out)
    assert out.read_text() == "precious"
    checkpoints.convert("tiny", source, out, force=True)
    checkpoints.convert("tiny", out, out, force=True)  # itself, too
    assert equal(load_file(out), dict(WEIGHTS))


def test_a_failed_conversion_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = saved(tmp_path / "w.pt", WEIGHTS)
    out = tmp_path / "out" / "w.safetensors"
    with pytest.raises(UsageError, match="there is no folder"):
        checkpoints.convert("tiny", good, out)
    out.parent.mkdir()
    with pytest.raises(UsageError, match=r"must be named \*\.safetensors"):
        checkpoints.convert("tiny", good, out.with_suffix(".pt"))
    with pytest.raises(ModelError, match="not weights of Tiny"):
        checkpoints.convert("tiny", saved(tmp_path / "x.pt", {"a": torch.ones(1)}), out)

    def no_space(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(UsageError, match=r"cannot be written: .*No space left"):
        checkpoints.convert("tiny", good, out)
    assert list(out.parent.iterdir()) == []


def test_a_converted_file_knows_its_network(tmp_path: Path) -> None:
    out = checkpoints.convert("tiny", saved(tmp_path / "w.pt", WEIGHTS), tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="was converted for tiny, not for other"):
        checkpoints.load("other", out)
    assert isinstance(checkpoints.load("small", out), Tiny)  # another name of the same network


@pytest.mark.parametrize("text", ["not json", "[1]", '{"network": ["x"]}', '{"network": "nobody"}'])
def test_somebody_elses_header_does_no_harm(text: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file(dict(WEIGHTS), path, metadata={"mien": text})
    assert isinstance(checkpoints.load("tiny", path), Tiny)


def test_without_safetensors_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "w.safetensors", WEIGHTS, "safetensors")
    shutil.copy(path, tmp_path / "copy.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[torch\]"'):
        checkpoints.read(path)
