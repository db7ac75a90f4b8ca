"""Self-training and distillation in the two stages of Efficient-FIQA, with a file behind every step.

Paper:  Sun et al., "Efficient Face Image Quality Assessment via Self-training and Knowledge Distillation",
        arXiv 2507.15709
    1   teacher      learns from the labelled pictures
    2   labels-u1    it labels the first unlabelled set
    3   teacher-plus learns from both
    4   labels-u2    it labels the second unlabelled set
    5   student      learns from all three, mixed in one shuffled order with equal weight
The maps from predictions to labels are fitted on the labelled training table, its validation part included, as in the
released code. Not said there, so decided here: teacher-plus begins where the teacher began, not with its weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.errors import UsageError
from mien.core.weights import sha256_of
from mien.data import table
from mien.data.sample import Sample
from mien.training import checkpoint, pseudo_labels
from mien.training.deliver import Origin
from mien.training.fingerprint import fingerprint
from mien.training.loop import Fitted, Way
from mien.training.measure import answers, predict
from mien.training.parallel import Machine
from mien.training.parts import Parts, divide
from mien.training.recipe import Recipe
from mien.training.sources import Source, read
from mien.training.train import finish, fit_from, start_in_words

CHAIN = "chain.json"  #: every file of the run so far, with its SHA-256
_CHUNK = 256  #: pictures between two writes

TEACHER, TEACHER_PLUS, STUDENT = "1-teacher", "3-teacher-plus", "5-student"  #: folders of `fit`
LABELS_1, LABELS_2 = "2-labels-u1.csv", "4-labels-u2.csv"
#: by a run, in its folder
MADE = (
    *(CHAIN, TEACHER, TEACHER_PLUS, STUDENT),
    *(
        str(f(Path(name)))
        for name in (LABELS_1, LABELS_2)
        for f in (Path, pseudo_labels.record_file, pseudo_labels.raw_file)
    ),
)


@dataclass(frozen=True)
class SelfTraining:
    """A teacher and its student."""

    name: str
    paper: str
    teacher: Recipe
    student: Recipe


@dataclass(frozen=True)
class Pictures:
    """What is learned from."""

    labelled: tuple[Source, ...]
    u1: tuple[str, ...]  #: paths of pictures that nobody rated
    u2: tuple[str, ...]  #: others


@dataclass(frozen=True)
class Starts:
    """Checkpoints to begin from; None = random weights."""

    teacher: Path | None = None
    student: Path | None = None


def distill(
    both: SelfTraining, pictures: Pictures, out: Path, here: Machine, way: Way, *, starts: Starts | None = None
) -> Path | None:
    """All five steps, or those that are missing.

    Args:
        both: teacher and student.
        pictures: labelled and not.
        out: folder of the run; `way.resume` goes on with what is there.
        here: this process.
        way: how to go about it.
        starts: where teacher and student begin.

    Returns:
        The student's model file, `out/NAME.onnx`; None in all processes but the main one.

    Raises:
        UsageError: pictures that cannot be used, or a file of the run that was changed since it was written.

    Unlabelled pictures that are in the labelled table too, in any part, are left out and counted.
    """
    begin = starts or Starts()
    chain = _Chain(out, here, way)
    parts = divide(read(pictures.labelled), both.teacher.split, hold=both.student.calibrate)
    chain.say(f"{len(parts.train)} labelled pictures to learn from, {len(parts.val)} to choose by ({parts.made})")
    u1_paths, u2_paths = _unrated(pictures, parts, chain)
    teacher = chain.fit(TEACHER, both.teacher, parts, begin.teacher)
    u1 = chain.label(LABELS_1, both.teacher, teacher, parts, u1_paths, TEACHER)
    plus = chain.fit(TEACHER_PLUS, both.teacher, _with(parts, u1), begin.teacher)
    u2 = chain.label(LABELS_2, both.teacher, plus, parts, u2_paths, TEACHER_PLUS)
    everything = _with(parts, u1, u2)
    student = chain.fit(STUDENT, both.student, everything, begin.student)
    origin = Origin((*(s.name for s in pictures.labelled), *chain.in_words()), start_in_words(begin.student))
    return finish(both.student, student, everything, origin, out / f"{both.student.name}.onnx", here, way)


def _unrated(pictures: Pictures, parts: Parts, chain: _Chain) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Both unlabelled sets without files of the labelled table, whatever their part, and without files twice.

    A validation, held-back or test picture in them would be learned from, and its figures would mean nothing.

    Raises:
        UsageError: nothing is left of a set.
    """
    known = {s.file.resolve() for s in parts.everything}
    left: list[tuple[str, ...]] = []
    for option, paths in (("--u1", pictures.u1), ("--u2", pictures.u2)):
        fresh: dict[Path, str] = {}
        for path in paths:
            if (file := Path(path).resolve()) not in known:
                fresh.setdefault(file, path)
        kept = set(fresh.values())
        if dropped := [path for path in paths if path not in kept]:
            facts = f"{len(dropped):,} of {len(paths):,} pictures are in the labelled table or were given before"
            if not fresh:
                raise UsageError(f"{option}: {facts}, the first is {dropped[0]}; none is left to label")
            chain.say(f"{option}: {facts} and are left out, the first is {dropped[0]}")
        known |= fresh.keys()
        left.append(tuple(fresh.values()))
    return left[0], left[1]


def _with(parts: Parts, *more: tuple[Sample, ...]) -> Parts:
    return replace(parts, train=(*parts.train, *(sample for part in more for sample in part)))


class _Chain:
    """The files of a run, and what they were when they were written."""

    def __init__(self, out: Path, here: Machine, way: Way) -> None:
        self._out, self._here, self._way = out, here, way
        self._file = out / CHAIN
        if here.main:
            out.mkdir(parents=True, exist_ok=True)
        here.wait()
        self._hashes: dict[str, str] = json.loads(self._file.read_text()) if self._file.is_file() else {}

    def say(self, text: str) -> None:
        """By the main process."""
        if self._here.main:
            self._way.tell(text)

    def fit(self, name: str, recipe: Recipe, parts: Parts, start: Path | None) -> Fitted:
        """Train, go on with training, or take what has been trained."""
        self._check(f"{name}/{checkpoint.BEST}")
        self.say(f"{name}: {recipe.name} learns from {len(parts.train):,} pictures")
        fitted = fit_from(recipe, parts, self._out / name, self._here, replace(self._way, resume=True), start)
        self._keep(f"{name}/{checkpoint.BEST}")
        return fitted

    def label(
        self, name: str, recipe: Recipe, fitted: Fitted, parts: Parts, paths: Sequence[str], by: str
    ) -> tuple[Sample, ...]:
        """Label pictures, go on with it, or take the table that is there; samples to learn from."""
        self._check(name)
        out = self._out / name
        key = fingerprint(self._hashes[f"{by}/{checkpoint.BEST}"], sorted(paths))
        record = pseudo_labels.read_record(out)
        if record and record["key"] != key:
            raise UsageError(f"{out} was made by another teacher or of other pictures: begin again with --overwrite")
        self._here.wait()
        if not record:
            self._write_labels(out, recipe, fitted, parts, paths, key, by)
        self._here.wait()
        self._keep(name)
        prefix = name.removesuffix(".csv")
        return tuple(replace(s, name=f"{prefix}/{s.name}") for s in table.read(self._out, file=name))

    def in_words(self) -> list[str]:
        """The pseudo-labels, for the card."""
        return [f"{name}, sha256 {digest}" for name, digest in self._hashes.items() if name.endswith(".csv")]

    def _write_labels(
        self, out: Path, recipe: Recipe, fitted: Fitted, parts: Parts, paths: Sequence[str], key: str, by: str
    ) -> None:
        self.say(f"{out.name}: {by} judges {len(paths):,} pictures that nobody rated")
        labelled = (*parts.train, *parts.val)
        with ThreadPoolExecutor(self._way.workers) as pool:
            known = predict(recipe, fitted.net, labelled, self._here, pool)["quality"]
            mapped = pseudo_labels.fit(known, np.array([s.label for s in labelled], np.float64))

            def score(missing: Sequence[str]) -> Iterator[tuple[str, float | None]]:
                for i in range(0, len(missing), _CHUNK):
                    some = missing[i : i + _CHUNK]
                    samples = [Sample(path, Path(path)) for path in some]
                    rows = answers(recipe, fitted.net, samples, self._here, pool, go_on=True)
                    for path, row in zip(some, rows, strict=True):
                        yield path, None if isinstance(row, UsageError) else float(row["quality"])
                    self.say(f"{out.name}: {i + len(some):,} of {len(missing):,}")

            raw_file = pseudo_labels.raw_file(out)
            raw = pseudo_labels.collect(paths, score, raw_file, key, write=self._here.main)
        if self._here.main:
            facts: dict[str, Any] = {"key": key, "judge": by, "judge_sha256": self._hashes[f"{by}/{checkpoint.BEST}"]}
            made = pseudo_labels.write(out, raw, mapped, facts | {"fitted_on": len(labelled)})
            if made.unreadable:
                self.say(f"{out.name}: {made.unreadable:,} pictures could not be read and were left out")

    def _check(self, name: str) -> None:
        """That a file which an earlier run has finished is still the same."""
        if name in self._hashes and sha256_of(self._out / name) != self._hashes[name]:
            raise UsageError(
                f"{self._out / name} was changed since this run wrote it ({CHAIN} has another hash): begin again "
                f"with --overwrite"
            )

    def _keep(self, name: str) -> None:
        self._hashes[name] = sha256_of(self._out / name)
        if self._here.main:
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps(self._hashes, indent=2) + "\n", encoding="utf-8")
            fresh.replace(self._file)
