"""The zoo's door: names, building, and weights that fit or are refused by name."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from mien import models
from mien.core.errors import MissingExtraError, ModelError
from mien.core.weights import read_lock
from mien.models import judge_net, zoo


class Tiny(nn.Module):
    """Two layers and a normalisation, as a published network would bring them."""

    IGNORED: ClassVar = ("head.*",)
    MAY_BE_ABSENT: ClassVar = ("grid",)

    def __init__(self, scenes: int = 1) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last = nn.Linear(4, scenes)
        self.grid: Tensor
        self.register_buffer("grid", torch.arange(2.0))


class Renamed(nn.Module):
    """The authors call its layer `backbone.fc`."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 1)

    @staticmethod
    def rename(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key.replace("backbone.fc", "layer"): value for key, value in state_dict.items()}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The zoo knows `tiny`."""
    module = ModuleType("tiny_network")
    vars(module)["Tiny"] = Tiny
    monkeypatch.setitem(sys.modules, "tiny_network", module)
    monkeypatch.setitem(zoo.MODELS, "tiny", "tiny_network:Tiny")


def trained(net: nn.Module, seed: int = 1) -> dict[str, Tensor]:
    """Other weights than the network has."""
    generator = torch.Generator().manual_seed(seed)
    return {
        key: torch.rand(value.shape, generator=generator) + 0.5 if value.is_floating_point() else value.clone()
        for key, value in net.state_dict().items()
    }


def test_an_unknown_name_offers_the_nearest_ones() -> None:
    with pytest.raises(ModelError, match="no network 'hyperika'; did you mean hyperiqa"):
        models.build("hyperika")
    with pytest.raises(ModelError, match=r"no network 'zzzz'; there are: adaface-ir101, .*uiqa"):
        models.card("zzzz")


def test_every_name_points_into_the_models_folder_and_is_in_the_lock_file() -> None:
    for target in zoo.MODELS.values():
        module, _, factory = target.partition(":")
        assert module.startswith("mien.models.") and factory.isidentifier()
    assert read_lock(zoo.CARDS.with_name("weights.lock.json")).keys() == zoo.MODELS.keys()


def test_every_card_is_json_of_its_own_network() -> None:
    for path in zoo.CARDS.glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["name"] == path.stem
        assert path.stem in zoo.MODELS


@pytest.mark.parametrize("module", sorted({target.partition(":")[0] for target in zoo.MODELS.values()}))
def test_a_model_file_opens_with_where_everything_comes_from(module: str) -> None:
    head = (import_module(module).__doc__ or "").split("\n\n")[1]
    opened = [line.partition(":")[0] for line in head.splitlines() if line[:1].strip()]
    assert opened == ["Paper", "Code", "Weights", "Input", "Output", "Numbers"]
    assert "licence" in head or "none published" in head
    assert "ours: " in " ".join(head.split())


@pytest.mark.parametrize("missing", ["torch", "torchvision", "timm"])
def test_without_torch_the_extra_is_named(missing: str, tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class NeedsIt(Tiny):
        def __init__(self) -> None:
            __import__(missing)
            super().__init__()

    vars(sys.modules["tiny_network"])["Tiny"] = NeedsIt
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r'the network tiny needs an extra: pip install "mien\[torch\]"'):
        models.build("tiny")


def test_another_missing_module_is_not_blamed_on_the_extra(tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tiny_network")
    with pytest.raises(ModuleNotFoundError, match="tiny_network") as caught:
        models.build("tiny")
    assert not isinstance(caught.value, MissingExtraError)


@pytest.mark.usefixtures("tiny", "no_network")
def test_build_gives_evaluation_mode_takes_settings_and_opens_no_socket() -> None:
    net = models.build("tiny", scenes=3)
    assert isinstance(net, Tiny) and not net.training
    assert net.last.out_features == 3


def test_the_authors_weights_arrive_bit_for_bit_in_evaluation_mode() -> None:
    net, weights = Tiny().train(), trained(Tiny())
    loaded = models.load_official(net, weights)
    assert loaded is net and not any(module.training for module in net.modules())
    for key, value in net.state_dict().items():
        assert torch.equal(value, weights[key])


@pytest.mark.parametrize("container", ["state_dict", "model_state_dict", "model", "net"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_containers_and_the_prefix_of_data_parallel_are_seen_through(container: str, prefix: str) -> None:
    weights = trained(Tiny())
    inside = {f"{prefix}{key}": value for key, value in weights.items()}
    net = models.load_official(Tiny(), {container: inside, "epoch": 3, "optimizer": {"lr": 0.1}})
    assert torch.equal(net.state_dict()["first.weight"], weights["first.weight"])


def test_a_prefix_on_some_names_only_is_not_taken_off() -> None:
    weights = trained(Tiny())
    weights["module.first.weight"] = weights.pop("first.weight")
    with pytest.raises(ModelError, match=r"missing: first\.weight; 1 are unexpected: module\.first\.weight"):
        models.load_official(Tiny(), weights)


def test_half_precision_is_computed_with_in_single() -> None:
    weights = {key: v.half() if v.is_floating_point() else v for key, v in trained(Tiny()).items()}
    net = models.load_official(Tiny(), weights)
    first = net.state_dict()["first.weight"]
    assert first.dtype == torch.float32
    assert torch.equal(first, weights["first.weight"].float())
    assert net.state_dict()["norm.num_batches_tracked"].dtype == torch.int64


def test_wrong_weights_name_the_first_keys_and_change_nothing() -> None:
    net = Tiny()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    weights = trained(net)
    del weights["first.bias"], weights["last.weight"]
    weights["last.gain"] = torch.ones(1)
    with pytest.raises(ModelError) as caught:
        models.load_official(net, weights)
    for part in (
        "not weights of Tiny",
        "2 of 10 tensors are missing: first.bias, last.weight",
        "unexpected: last.gain",
    ):
        assert part in str(caught.value)
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_many_wrong_keys_are_shortened() -> None:
    with pytest.raises(ModelError, match=r"5 are unexpected: x0, x1, x2, \.\.\.$"):
        models.load_official(Tiny(), {**trained(Tiny()), **{f"x{n}": torch.ones(1) for n in range(5)}})


def test_tensors_of_another_shape_are_named_with_both_shapes() -> None:
    weights = trained(Tiny())
    weights["last.weight"] = torch.ones(2, 4)
    with pytest.raises(ModelError, match=r"last\.weight: \[2, 4\] in the file, \[1, 4\] in the network"):
        models.load_official(Tiny(), weights)


def test_only_what_a_network_declares_may_be_absent_or_too_much() -> None:
    weights = trained(Tiny())
    del weights["grid"], weights["norm.num_batches_tracked"]
    net = models.load_official(Tiny(), {**weights, "head.kernel": torch.ones(3)})
    assert torch.equal(net.state_dict()["grid"], torch.arange(2.0))
    with pytest.raises(ModelError, match="unexpected: tail"):
        models.load_official(Tiny(), {**weights, "tail": torch.ones(3)})


def test_a_network_may_rename_the_authors_keys() -> None:
    net = models.load_official(Renamed(), {"backbone.fc.weight": torch.ones(1, 2), "backbone.fc.bias": torch.zeros(1)})
    assert net.state_dict()["layer.weight"].tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("weights", "message"),
    [({}, "it is empty"), ({"epoch": 3}, "not a state dict of tensors: epoch"), ({"net": {}}, "it is empty")],
)
def test_what_is_no_state_dict_says_so(weights: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        models.load_official(Tiny(), weights)


def test_the_network_that_ships_takes_its_weights_by_the_same_door() -> None:
    net, other = judge_net.JudgeNet(), judge_net.JudgeNet()
    weights = {f"module.{key}": value for key, value in trained(other).items()}
    models.load_official(net, weights)
    assert all(torch.equal(value, weights[f"module.{key}"]) for key, value in net.state_dict().items())
