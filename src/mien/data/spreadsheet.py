"""The first sheet of an .xlsx workbook, with the standard library: SPAQ and AIGIQA-20K publish their labels so."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from mien.core.errors import UsageError

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_PACKAGE = "{http://schemas.openxmlformats.org/package/2006/relationships}"


def first_sheet(file: Path) -> list[list[str]]:
    """The cells as text, row by row; rows are as long as the widest, empty rows are left out.

    Raises:
        UsageError: no such file, or not an .xlsx workbook.
    """
    if not file.is_file():
        raise UsageError(f"no {file}")
    try:
        with zipfile.ZipFile(file) as book:
            shared = _shared_strings(book)
            sheet = ElementTree.fromstring(book.read(_first_sheet_name(book)))
            found = [_cells(row, shared) for row in sheet.iter(f"{_MAIN}row")]
    except (zipfile.BadZipFile, ElementTree.ParseError, LookupError, ValueError, StopIteration) as error:
        raise UsageError(f"{file} is not an .xlsx workbook") from error
    width = max((max(cells, default=-1) + 1 for cells in found), default=0)
    return [[cells.get(k, "") for k in range(width)] for cells in found if any(cells.values())]


def _first_sheet_name(book: zipfile.ZipFile) -> str:
    workbook = ElementTree.fromstring(book.read("xl/workbook.xml"))
    link = next(workbook.iter(f"{_MAIN}sheet")).attrib[f"{_LINK}id"]
    links = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))
    target = next(r.attrib["Target"] for r in links.iter(f"{_PACKAGE}Relationship") if r.attrib["Id"] == link)
    return target.lstrip("/") if target.startswith("/") else f"xl/{target}"


def _shared_strings(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    table = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
    return ["".join(text.text or "" for text in item.iter(f"{_MAIN}t")) for item in table.iter(f"{_MAIN}si")]


def _cells(row: ElementTree.Element, shared: list[str]) -> dict[int, str]:
    cells = {}
    for k, cell in enumerate(row.iter(f"{_MAIN}c")):
        value = cell.findtext(f"{_MAIN}v") or ""
        match cell.attrib.get("t"):
            case "s":
                value = shared[int(value)]
            case "inlineStr":
                value = "".join(text.text or "" for text in cell.iter(f"{_MAIN}t"))
        cells[_column(cell.attrib.get("r", ""), k)] = value
    return cells


def _column(reference: str, otherwise: int) -> int:
    """Number of the column, from 0, of a reference such as "AB12"."""
    letters = re.match(r"[A-Z]+", reference)
    if letters is None:
        return otherwise
    column = 0
    for letter in letters.group():
        column = 26 * column + ord(letter) - ord("A") + 1
    return column - 1
