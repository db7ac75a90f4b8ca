"""A challenge as a bundle for Codabench (layout of version 2), and the program that scores inside its container.

The bundle carries the code of mien that scores, so that the container needs nothing but Python 3.11, numpy and scipy,
and gives the same numbers as `mien challenge score`. Codabench unpacks a submission into input/res and the reference
data into input/ref; the program writes output/scores.json, or ends with 2 and says why on stderr.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import sys
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from mien.apps.challenge import CARD, LABELS, SAMPLE, SPLITS, open_challenge, open_parts, score
from mien.apps.challenge_tables import HIDDEN, PUBLIC
from mien.apps.challenge_texts import TERMS
from mien.apps.submission import ENTRIES, InvalidSubmissionError
from mien.core.errors import MienError, UsageError
from mien.core.rows import one_line
from mien.evaluation.protocol import LOWER_IS_BETTER, Protocol

IMAGE = "codalab/codalab-legacy:py312"  #: has numpy and scipy
DONE, REFUSED = 0, 2
SCORES, DETAILS = "scores.json", "result.json"

_CARRIED = ("core", "evaluation", "evaluation/protocols")  # folders of mien whose modules go into the program
_CARRIED_APPS = (
    "__init__.py",
    "challenge.py",
    "challenge_tables.py",
    "challenge_texts.py",
    "codabench.py",
    "submission.py",
)
_PROGRAM = '''"""Scores one submission: the code of mien in the folder beside this file, nothing else."""

import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from mien.apps.codabench import score_in_container  # noqa: E402

sys.exit(score_in_container(Path(sys.argv[1]), Path(sys.argv[2])))
'''


def score_in_container(inputs: Path, outputs: Path) -> int:
    """Score inputs/res against inputs/ref; 0, or 2 with every reason on stderr and no scores.

    Args:
        inputs: with the folders `res` (the submission) and `ref` (the reference data).
        outputs: gets scores.json (one number for each column of the board) and result.json (everything).
    """
    reference = inputs / "ref"
    try:
        challenge = open_parts(reference / CARD, reference / SPLITS, reference / LABELS)
        result = score(challenge, _only_file(inputs / "res"))
    except InvalidSubmissionError as error:
        print(refusal(error), file=sys.stderr)
        return REFUSED
    except MienError as error:
        print(f"mien: {one_line(str(error))}", file=sys.stderr)
        return REFUSED
    scores = {metric: result.total[metric].value for metric in challenge.protocol.columns}
    scores |= {
        f"{challenge.protocol.rank_by}_{end}": value
        for end, value in (("low", result.main.low), ("high", result.main.high))
        if value is not None
    }
    outputs.mkdir(parents=True, exist_ok=True)
    _dump(outputs / DETAILS, result.to_dict())
    _dump(outputs / SCORES, scores)  # last: it is there only when everything is
    print(json.dumps(scores))
    return DONE


def refusal(error: InvalidSubmissionError) -> str:
    """All reasons, one a line."""
    n = len(error.reasons)
    head = f"mien: {error.source} is refused, {n} reason{'s' * (n > 1)}:"
    return "\n".join([head, *(f"  - {one_line(reason)}" for reason in error.reasons)])


def _only_file(folder: Path) -> Path:
    """The one file of a submission; folders in it are looked into, links are not followed."""
    found: list[Path] = []
    for here, _, names in os.walk(folder):
        for name in names:
            if name != ".DS_Store" and "__MACOSX" not in Path(here).parts:
                found.append(Path(here) / name)
        if len(found) > ENTRIES:
            break
    if len(found) != 1:
        told = ", ".join(one_line(path.name) for path in sorted(found)[:ENTRIES]) or "nothing"
        raise InvalidSubmissionError("submission", [f"it must be exactly one .csv, there is {told}"])
    return found[0]


def _dump(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def write_bundle(folder: Path, out: Path) -> None:
    """Write a challenge folder as a bundle: complete or not at all.

    Args:
        folder: of `mien challenge new`.
        out: *.zip; replaced when it is there. It holds the hidden labels: it is for the organisers only.

    Raises:
        UsageError: the folder is not a challenge, or `out` cannot be written.
    """
    if out.suffix.lower() != ".zip":
        raise UsageError(f"a bundle must be named *.zip, not {one_line(str(out))}")
    challenge = open_challenge(folder)
    temporary = out.with_name(f".mien-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with zipfile.ZipFile(temporary, "x", zipfile.ZIP_DEFLATED) as bundle:
            for name, data in _contents(folder, challenge.name, challenge.protocol):
                bundle.writestr(name, data)
        temporary.replace(out)
    except OSError as error:
        raise UsageError(f"cannot write {one_line(str(out))}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _contents(folder: Path, name: str, protocol: Protocol) -> Iterator[tuple[str, bytes]]:
    """(path in the bundle, bytes) of everything."""
    yield "competition.yaml", _yaml(_competition(name, protocol)).encode()
    yield "logo.png", _logo()
    yield "pages/overview.md", (folder / PUBLIC / "README.md").read_bytes()
    yield "pages/terms.md", TERMS.encode()
    for path in sorted((folder / PUBLIC).iterdir()):
        yield f"public_data/{path.name}", path.read_bytes()
    yield f"starting_kit/{SAMPLE}", (folder / PUBLIC / SAMPLE).read_bytes()
    for part, file in ((PUBLIC, CARD), (PUBLIC, SPLITS), (HIDDEN, LABELS)):
        yield f"reference_data/{file}", (folder / part / file).read_bytes()
    yield "scoring_program/metadata.yaml", b"command: python3 /app/program/score.py /app/input /app/output\n"
    yield "scoring_program/score.py", _PROGRAM.encode()
    for path, data in _code():
        yield f"scoring_program/mien/{path}", data


def _code() -> Iterator[tuple[str, bytes]]:
    """The modules of mien that scoring needs."""
    package = files("mien")
    yield "__init__.py", (package / "__init__.py").read_bytes()
    for name in _CARRIED:
        inside: Traversable = package.joinpath(*name.split("/"))
        for file in sorted(inside.iterdir(), key=lambda f: f.name):
            if file.name.endswith(".py"):
                yield f"{name}/{file.name}", file.read_bytes()
    for name in _CARRIED_APPS:
        yield f"apps/{name}", (package / "apps" / name).read_bytes()


def _competition(name: str, protocol: Protocol) -> dict[str, Any]:
    """The description of the competition; dates and rules are for the organisers to change."""
    columns = [protocol.rank_by, *(m for m in protocol.columns if m != protocol.rank_by)]
    board = [
        {
            "title": metric.upper() if metric != "main" else "Score",
            "key": metric,
            "index": index,
            "sorting": "asc" if metric in LOWER_IS_BETTER else "desc",
            "precision": 4,
        }
        for index, metric in enumerate(columns)
    ]
    for end in ("low", "high"):
        title = f"{'Lower' if end == 'low' else 'Upper'} end, 95 %"
        key = f"{protocol.rank_by}_{end}"
        board.append({"title": title, "key": key, "index": len(board), "sorting": "desc", "precision": 4})
    return {
        "version": 2,
        "title": name,
        "description": protocol.title,
        "image": "logo.png",
        "terms": "pages/terms.md",
        "registration_auto_approve": False,
        "docker_image": IMAGE,
        "make_programs_available": False,
        "make_input_data_available": False,
        "enable_detailed_results": False,
        "pages": [{"title": "Overview", "file": "pages/overview.md"}],
        "tasks": [
            {
                "index": 0,
                "name": name,
                "description": f"Scored under {protocol.name}",
                "scoring_program": "scoring_program",
                "reference_data": "reference_data",
            }
        ],
        "phases": [
            {
                "index": 0,
                "name": "Challenge",
                "description": "Results on the hidden part",
                "start": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
                "max_submissions_per_day": 5,
                "execution_time_limit": 600,
                "accepts_only_result_submissions": True,
                "public_data": "public_data",
                "starting_kit": "starting_kit",
                "tasks": [0],
            }
        ],
        "leaderboards": [{"title": "Results", "key": "main", "submission_rule": "Force_Best", "columns": board}],
    }


def _yaml(value: Mapping[str, Any], indent: str = "") -> str:
    """Mappings and lists of mappings as YAML; every text is quoted as in JSON, which YAML reads alike."""
    lines = []
    for key, item in value.items():
        if isinstance(item, list) and item and isinstance(item[0], dict):
            lines.append(f"{indent}{key}:\n")
            for entry in item:
                text = _yaml(entry, indent + "    ")
                lines.append(f"{indent}  - {text.removeprefix(indent + '    ')}")
        else:
            lines.append(f"{indent}{key}: {json.dumps(item, ensure_ascii=True)}\n")
    return "".join(lines)


def _logo() -> bytes:
    """A plain picture, because Codabench wants one: a rising line of points."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (512, 512), "#f7f7f7")
    draw = ImageDraw.Draw(picture)
    for i in range(7):
        x, y, r = 86 + 56 * i, 400 - 48 * i, 13 + 2 * i
        draw.ellipse((x - r, y - r, x + r, y + r), fill="#a93a12" if i == 6 else "#7f7f7f")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
