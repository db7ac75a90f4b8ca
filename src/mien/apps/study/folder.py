"""A study as a folder: what was chosen, what is shown, what is said to people, and the secret of its owner.

NAME/
    study.json          settings, and the link that people get; may be edited until somebody has joined
    items.csv           what is shown: name, file, scene, reference, size, hash
    consent.txt         what people agree to; edit it
    instructions.txt    what people are asked to do; edit it
    owner.token         whoever has it owns the study; not to be published
    study.db            the votes (unless they are in a PostgreSQL database)
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mien.apps.study.items import MAIN, Item
from mien.apps.study.settings import PAIRWISE, Settings
from mien.apps.study.texts import consent, instructions
from mien.core.errors import UsageError
from mien.core.rows import one_line

SCHEMA = 1
CARD, ITEMS, CONSENT, INSTRUCTIONS, OWNER, DATABASE = (
    "study.json",
    "items.csv",
    "consent.txt",
    "instructions.txt",
    "owner.token",
    "study.db",
)
_COLUMNS = tuple(field.name for field in fields(Item))


@dataclass(frozen=True, slots=True)
class Study:
    """An opened folder.

    Attributes:
        folder: of the study.
        title: what people see.
        link: the unguessable part of the address that people get.
        owner: the secret of the owner's pages.
        settings: what was chosen.
        items: what is shown.
        consent, instructions: texts; an empty line begins a paragraph.
    """

    folder: Path
    title: str
    link: str
    owner: str
    settings: Settings
    items: tuple[Item, ...]
    consent: str
    instructions: str

    @property
    def database(self) -> str:
        """Where the votes are when nothing else is said."""
        return f"sqlite:///{(self.folder / DATABASE).resolve()}"

    @property
    def text_sha256(self) -> str:
        """Which words an observer agreed to."""
        return hashlib.sha256(f"{self.consent}\0{self.instructions}".encode()).hexdigest()


def secret() -> str:
    """192 random bits that fit into an address."""
    return secrets.token_urlsafe(24)


def create(folder: Path, items: Sequence[Item], settings: Settings, *, title: str | None = None) -> Study:
    """Write the folder of a study: complete or not at all.

    Raises:
        UsageError: it exists, cannot be written, or the items cannot be studied with this method.
    """
    shown = one_line(str(folder))
    if folder.exists():
        raise UsageError(f"{shown} exists: choose another name")
    check(items, settings)
    words = consent(settings), instructions(settings)
    study = Study(folder, title or folder.name, secret(), secret(), settings, tuple(items), *words)
    partial = folder.with_name(f"{folder.name}.partial-{secrets.token_hex(4)}")
    try:
        partial.mkdir(parents=True)
        _write(partial, study)
        partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UsageError(f"cannot write {shown}: {error.strerror or error}") from error
    return study


def check(items: Sequence[Item], settings: Settings) -> None:
    """Whether a study can be made of these items.

    Raises:
        UsageError: it cannot, and why.
    """
    main = [item for item in items if item.role == MAIN]
    if not main:
        raise UsageError("all items are for training: nothing is left to be judged")
    if settings.method == PAIRWISE:
        alone = [scene for scene, n in Counter(item.scene for item in main).items() if n < 2]
        if alone:
            names = ", ".join(repr(one_line(scene)) for scene in alone[:8])
            raise UsageError(f"pairs are made inside scenes, and these have one item only: {names}")
    if settings.method == "dcr" and not any(item.reference for item in main):
        raise UsageError("dcr compares with references: a CSV with a column reference names them")


def open_study(folder: Path) -> Study:
    """Open a folder that `create` made.

    Raises:
        UsageError: it is none, it is of another version, or a part of it is missing or damaged.
    """
    shown = one_line(str(folder))
    if not (folder / CARD).is_file():
        raise UsageError(f"{shown} is not a study: it has no {CARD} (mien study new makes one)")
    card = _read_card(folder / CARD)
    settings = Settings.of(card["settings"])
    items = tuple(_read_items(folder / ITEMS))
    check(items, settings)
    owner = _text(folder / OWNER).strip()
    if len(owner) < 20 or len(card["link"]) < 20:
        raise UsageError(f"{shown}: the link or the token in {OWNER} is too short to be a secret")
    return Study(
        folder,
        card["title"],
        card["link"],
        owner,
        settings,
        items,
        _text(folder / CONSENT),
        _text(folder / INSTRUCTIONS),
    )


def _write(folder: Path, study: Study) -> None:
    card = {"schema": SCHEMA, "title": study.title, "link": study.link, "settings": study.settings.to_dict()}
    (folder / CARD).write_text(json.dumps(card, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    (folder / CONSENT).write_text(study.consent, encoding="utf-8")
    (folder / INSTRUCTIONS).write_text(study.instructions, encoding="utf-8")
    (folder / ".gitignore").write_text(f"{OWNER}\n{CARD}\n{DATABASE}*\n", encoding="utf-8")
    with (folder / ITEMS).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_COLUMNS)
        for item in study.items:
            table.writerow("" if value is None else value for value in asdict(item).values())
    token = os.open(folder / OWNER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(token, "w", encoding="utf-8") as file:
        file.write(study.owner + "\n")


def _read_card(path: Path) -> dict[str, Any]:
    shown = one_line(str(path))
    try:
        card = json.loads(_text(path))
    except ValueError as error:
        raise UsageError(f"{shown} is not JSON: {error}") from error
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise UsageError(f"{shown} is not a study of this version of mien (schema {SCHEMA})")
    if not (isinstance(card.get("title"), str) and isinstance(card.get("link"), str)):
        raise UsageError(f"{shown} needs a title and a link")
    if not isinstance(card.get("settings"), dict):
        raise UsageError(f"{shown} has no settings")
    return card


def _read_items(path: Path) -> list[Item]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_item(row) for row in csv.DictReader(file, strict=True)]
    except OSError as error:
        raise UsageError(f"cannot read {one_line(str(path))}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, csv.Error) as error:
        raise UsageError(f"{one_line(str(path))} is damaged: make the study again ({error})") from error


def _item(row: dict[str, str]) -> Item:
    width, height = (int(row[name]) if row[name] else None for name in ("width", "height"))
    texts = {name: row[name] for name in ("name", "scene", "reference", "role", "mime", "sha256")}
    return Item(path=Path(row["path"]), size=int(row["size"]), width=width, height=height, **texts)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {one_line(str(path))}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{one_line(str(path))} is not UTF-8") from error
