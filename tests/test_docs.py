"""Pages that are made from data are up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from mien.models import zoo

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def networks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_networks", DOCS / "networks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_the_networks_is_made_of_their_cards(networks: ModuleType) -> None:
    assert (DOCS / "networks.md").read_text(encoding="utf-8") == networks.page()


def test_every_network_has_a_card_and_every_card_a_network() -> None:
    assert {path.stem for path in zoo.CARDS.glob("*.json")} == set(zoo.MODELS)
    assert all(zoo.card(name)["name"] == name for name in zoo.names())


FIELDS = {
    *("name", "title", "task", "paper", "code", "weights", "input", "output", "direction", "raw_range", "data"),
    *("parameters", "macs", "numbers", "fixture", "quirks", "ambiguities"),
}


@pytest.mark.parametrize("name", zoo.names())
def test_a_card_has_every_field(name: str) -> None:
    assert zoo.card(name).keys() >= FIELDS
