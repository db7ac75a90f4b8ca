"""The judge that ships: a fine-tuned teacher, a student from random weights that matches it, ONNX and card.

    python recipes/embedded_judge.py --data ../shared/data --backbone ../shared/models/mobilenetv2_imagenet.npz

Data:    BIQ2021 (train: opinions; val: only measured on) and SFHQ (synthetic faces, no opinions)
Time:    on one H200 and 16 CPU cores, with --compile: ladders 80 s, teacher 130 s, student 440 s; without a GPU, days
Needs:   pip install "mien[train]"; 13 GB of disk under --work, and 15 GB of memory on the device for
         them and the pictures, beside what training takes
Every stage leaves a file in --work and is skipped when its file is there; a stage that was killed begins again, the
student at its last epoch.

It learns from windows of 224 px and looks at whole pictures at 256: what a window shows is larger than it is in the
whole picture, and networks do better on test pictures that are a little larger than those of training (Touvron et
al., "Fixing the train-test resolution discrepancy", 2019); this one agrees better with people. At the end the
constant of its last layer is moved so that the mean score of the held-out photographs is the mean of their opinions.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.core.preprocess import Preprocess
from mien.core.weights import sha256_of
from mien.data import biq2021, sfhq
from mien.data.sample import Sample
from mien.evaluation.correlation import inside_groups, mae, rmse, srcc
from mien.evaluation.resampling import bootstrap_pairs, interval
from mien.evaluation.subsets import subset_report
from mien.models.judge_net import JudgeNet
from mien.runtime import cost
from mien.training import calibrate, checkpoint, ladders, probe, student, teacher
from mien.training import feed as feeds
from mien.training.export import export
from mien.training.feed import Feed, FeedPlan
from mien.training.fingerprint import fingerprint
from mien.training.ladders import LadderPlan
from mien.training.student import StudentRecipe
from mien.training.teacher import Teacher, TeacherRecipe

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class LadderSet:
    """Ladders of some of the pictures."""

    of: str  #: a key of `_subsets`
    plan: LadderPlan


_ONE = LadderPlan(chain_share=0.0, seed=20261125)


@dataclass(frozen=True)
class EmbeddedJudge:
    """Everything that decides the weights."""

    name: str = "mien-judge"
    version: str = "4"
    picture_px: int = 320  #: side of the pictures that windows are cut from
    ladders: tuple[LadderSet, ...] = (
        LadderSet("photos", LadderPlan(per_picture=3)),
        LadderSet("faces", LadderPlan(per_picture=8)),
        LadderSet("every second photo", replace(_ONE, kinds=("dark", "bright"))),
        LadderSet("the other photos", replace(_ONE, kinds=("jpeg", "webp"), enlarged_px=(320, 720))),
    )
    teacher: TeacherRecipe = field(default_factory=TeacherRecipe)
    student: StudentRecipe = field(default_factory=StudentRecipe)
    preprocess: Preprocess = field(default_factory=lambda: Preprocess(size_px=256, reducing_gap=3.5))
    pictures: int | None = None  #: use only the first so many of each set
    probed: int = 100  #: pictures of each kind in the degradation check


_SMALL = FeedPlan(size_px=64, plain=16, ladders=4)
QUICK = EmbeddedJudge(
    name="mien-judge-quick",
    picture_px=64,
    ladders=tuple(LadderSet(of, LadderPlan(size_px=64)) for of in ("photos", "faces")),
    teacher=TeacherRecipe(views=_SMALL, hidden=8, probe_steps=4, steps=4, distilled=8, measured=2),
    student=StudentRecipe(views=_SMALL, epochs=2, steps=3, mixed=8, refit_steps=8),
    preprocess=Preprocess(size_px=64),
    pictures=24,
    probed=2,
)


@dataclass(frozen=True)
class Data:
    """The pictures of one run."""

    photos: tuple[Sample, ...]
    faces: tuple[Sample, ...]
    val_photos: tuple[Sample, ...]
    val_faces: tuple[Sample, ...]
    people: dict[str, frozenset[str]]  #: names of photographs by who is in them; see `biq2021.people`
    absent: int  #: rows of BIQ2021 whose shard is not here


def read(root: Path, recipe: EmbeddedJudge) -> Data:
    """Index both data sets."""
    biq, faces = biq2021.read(root / "biq2021"), sfhq.read(root / "sfhq")

    def part(samples: Sequence[Sample], split: str) -> tuple[Sample, ...]:
        return tuple(s for s in samples if s.split == split)[: recipe.pictures]

    return Data(
        part(biq.samples, "train"),
        part(faces, "train"),
        part(biq.samples, "val"),
        part(faces, "val"),
        biq2021.people(root / "biq2021"),
        biq.missing_rows,
    )


def run(
    recipe: EmbeddedJudge,
    data: Data,
    backbone_file: Path,
    work: Path,
    out: Path,
    *,
    device: torch.device = _CPU,
    compiled: bool = False,
) -> Path:
    """All stages; returns the card."""
    work.mkdir(parents=True, exist_ok=True)
    whole = feeds.whole(data.val_photos, recipe.preprocess.size_px)
    feed = cache(partial(feed_of, recipe, data, work, device))
    master = taught(recipe, data, feed, backbone_file, work, device)
    teacher_metrics = agreement(judged(master, whole), data.val_photos)
    _say(f"teacher {teacher_metrics}")

    small = cache(partial(feeds.whole, data.val_photos, recipe.student.views.size_px))

    def validate(net: JudgeNet) -> dict[str, Any]:
        return agreement(student.predict(net, small()).quality.numpy(), data.val_photos)

    net = learned(recipe, data, feed, master, work, validate, compiled=compiled)
    student.level(net, whole, _labels(data.val_photos)[0])
    _say(f"student {agreement(student.predict(net, whole).quality.numpy(), data.val_photos)}")
    out.mkdir(parents=True, exist_ok=True)
    model = out / f"{recipe.name}-{recipe.version}.onnx"
    export(net, model, recipe.preprocess.size_px, spread_range=_spread_range(net, data, recipe))
    card, log = model.with_suffix(".json"), work / "student.jsonl"
    card.write_text(json.dumps(_card(recipe, data, model, net, whole, teacher_metrics, log), indent=2) + "\n")
    (out / f"{recipe.name}-{recipe.version}.log.jsonl").write_bytes(log.read_bytes())
    return card


def feed_of(recipe: EmbeddedJudge, data: Data, work: Path, device: torch.device) -> Feed:
    """All pictures and their ladders, on the device."""
    workers, subsets, everything = os.cpu_count() or 1, _subsets(data), (*data.photos, *data.faces)
    sets = [
        ladders.build(subsets[s.of], s.plan, work / f"ladders-{k}", workers=workers)
        for k, s in enumerate(recipe.ladders)
    ]
    pictures = feeds.pictures(everything, recipe.picture_px, workers=workers)
    _say(f"{len(pictures)} pictures, {sum(map(len, sets))} ladders")
    label = np.array([np.nan if s.label is None else s.label for s in everything], np.float32)
    return Feed(pictures, label, sets, device)


def taught(
    recipe: EmbeddedJudge, data: Data, feed: Callable[[], Feed], backbone_file: Path, work: Path, device: torch.device
) -> Teacher:
    """The teacher, trained or read from `work/teacher.pt`, where it is kept in half precision."""
    file, half = work / "teacher.pt", device.type == "cuda" or student.native_bfloat16()
    key = fingerprint(asdict(recipe.teacher), _pictures(recipe, data), sha256_of(backbone_file))
    if not file.is_file():
        master = teacher.fit(feed(), backbone_file, recipe.teacher, half=half, tell=_say)
        checkpoint.save_weights(file, master.half(), key=key)
    master = Teacher(recipe.teacher, half=half)
    checkpoint.load_weights(file, master, key)
    return master.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]


def learned(
    recipe: EmbeddedJudge,
    data: Data,
    feed: Callable[[], Feed],
    master: Teacher,
    work: Path,
    validate: Callable[[JudgeNet], dict[str, Any]],
    *,
    compiled: bool = False,
) -> JudgeNet:
    """The student, trained or read from `work/student.pt`, in evaluation mode on the CPU."""
    settings = [asdict(part) for part in (recipe.teacher, recipe.student)]
    file, key = work / "student.pt", fingerprint(settings, _pictures(recipe, data))
    net = JudgeNet(
        depths=recipe.student.depths, floor=recipe.student.floor, teacher_features=recipe.teacher.distilled
    ).eval()
    if not file.is_file():
        trained = student.fit(
            feed(), master, recipe.student, work, key, validate=validate, compiled=compiled, tell=_say
        )
        checkpoint.save_weights(file, student.refit_quality(trained, feed(), master, recipe.student), key=key)
    checkpoint.load_weights(file, net, key)
    return net


def _pictures(recipe: EmbeddedJudge, data: Data) -> list[Any]:
    """What decides the views: pictures, opinions and ladders."""
    names = [(s.name, s.label, s.size) for s in (*data.photos, *data.faces)]
    return [recipe.picture_px, [asdict(part) for part in recipe.ladders], names]


def _subsets(data: Data) -> dict[str, tuple[Sample, ...]]:
    photos = data.photos
    return {
        "photos": photos,
        "faces": data.faces,
        "every second photo": photos[::2],
        "the other photos": photos[1::2],
    }


def _spread_range(net: JudgeNet, data: Data, recipe: EmbeddedJudge) -> tuple[float, float]:
    """What the spread of a rated picture may be: it was learned on them alone, and anything goes on others."""
    rated = feeds.whole(data.photos[:1000], recipe.preprocess.size_px)
    low, high = student.predict(net, rated).spread.quantile(torch.tensor([0.01, 0.99])).tolist()
    return low, high


def judged(master: Teacher, whole: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What the teacher thinks of pictures and their mirror images, on average."""
    device, scores = master.components.device, []
    with torch.inference_mode():
        for i in range(0, len(whole), 50):
            x = torch.from_numpy(whole[i : i + 50]).to(device)
            scores.append((master(x) + master(x.flip(2))).cpu().numpy() / 2)
    return np.concatenate(scores)


def agreement(predicted: npt.NDArray[Any], samples: Sequence[Sample]) -> dict[str, float]:
    """SRCC pooled and as the mean inside the subsets."""
    mos, subset = _labels(samples)
    inside = inside_groups(srcc, predicted, mos, subset)
    return {
        "srcc_pooled": round(srcc(predicted, mos), 4),
        "srcc_mean_inside": round(float(np.mean(list(inside.values()))), 4),
    }


def _labels(samples: Sequence[Sample]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.str_]]:
    return np.array([s.label for s in samples], np.float64), np.array([s.subset for s in samples])


def _session(model: Path) -> probe.JudgeViews:
    """The file that ships, as a function of views."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model)

    def judge(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], ...]:
        parts = [session.run(None, {"image": pixels[i : i + 50].astype(np.float32)}) for i in range(0, len(pixels), 50)]
        quality, spread, attributes = (np.concatenate(column) for column in zip(*parts, strict=True))
        return quality, attributes, spread

    return judge  # type: ignore[return-value]


def _card(
    recipe: EmbeddedJudge,
    data: Data,
    model: Path,
    net: JudgeNet,
    whole: npt.NDArray[np.uint8],
    teacher_metrics: dict[str, float],
    log: Path,
) -> dict[str, Any]:
    """Everything the runtime and the reader need; all figures are of the ONNX file, on pictures not trained on."""
    judge = _session(model)
    quality, _, spread = judge(whole)  # type: ignore[misc]
    mos, subset = _labels(data.val_photos)
    error = np.asarray(quality - mos, np.float64)
    factor = calibrate.interval_factor(np.abs(error), spread)
    held, held_sd = calibrate.coverage(error, spread, levelled=True)
    parity = float(np.abs(quality - student.predict(net, whole).quality.numpy()).max())
    counted = cost.count(model)
    return {
        "schema": 1,
        "name": recipe.name,
        "version": recipe.version,
        "file": model.name,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "licence": "Apache-2.0 (weights and code)",
        "task": "overall quality of a photograph as people rate it, with four reasons",
        "input": "whole picture, upright, sRGB, squashed to a square; float32 RGB, 0..255",
        "preprocess": asdict(recipe.preprocess),
        "outputs": {
            "quality": "raw, scale of the BIQ2021 opinions 0..1, higher is better",
            "spread": "grows with the expected error, on the same scale; times the factor of the interval it is one",
            "attributes": "sharpness, exposure, noise, compression; 0..100, 100 = no visible fault",
        },
        "raw_range": [0.0, 1.0],
        "interval": {
            "level": 0.9,
            "factor": factor,
            "coverage": round(float(np.mean(np.abs(error) <= factor * spread)), 4),
            "coverage_held_out": round(held, 4),
            "coverage_sd_over_splits": round(held_sd, 4),
            "method": "the constant of the last layer from the mean, and the factor by split conformal, on BIQ2021 "
            "val, and how much of it they cover; held out: both from one half, counted on the other, 200 times",
        },
        "population": {
            "name": "BIQ2021 val: 1,000 photographs, one third taken by one photographer or badly on purpose",
            "n": len(quality),
            "raw_quantiles": calibrate.population_quantiles(quality),
        },
        "cost": asdict(counted),
        "training": _training(recipe, data, log),
        "metrics": {
            "data": "BIQ2021 val part, never trained on; watched during training, not used to choose an epoch; the "
            "size of the view (of 224, 256 and 288 px) and the constant of the last layer were chosen on it. The log "
            f"of the training looks at {recipe.student.views.size_px} px",
            "n": len(mos),
            **{
                name: {k: np.round(v, 4).tolist() for k, v in values.items()}
                for name, values in subset_report(quality, mos, subset).items()
            },
            "rmse": round(rmse(quality, mos), 4),
            "mae": round(mae(quality, mos), 4),
            "onnx_against_torch_max": parity,
            "teacher": teacher_metrics,
            "srcc_of_guessing_the_subset": _guessing(data),
        },
        "subgroups": _subgroups(data, whole, quality),
        "degradations": _degradations(recipe, data, judge),
        "steadiness": _steadiness(recipe, data, judge),
        "known_failures": list(KNOWN_FAILURES),
    }


def _subgroups(data: Data, whole: npt.NDArray[np.uint8], quality: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Agreement inside groups that one can see: people, and thirds by the mean brightness of the picture."""
    mos, _ = _labels(data.val_photos)
    names = np.array([s.name for s in data.val_photos])
    groups = {name: np.isin(names, list(members)) for name, members in data.people.items()}
    third = whole.mean((1, 2, 3)).argsort().argsort() * 3 // len(whole)
    groups |= {name: third == k for k, name in enumerate(("darkest third", "middle third", "brightest third"))}
    return {
        "note": "held-back photographs, subsets together; bias = mean of score minus opinion, points of 100. Age, sex "
        "and skin are not in the data: nothing is known about fairness between them",
        **{name: _subgroup(quality[of], mos[of]) for name, of in groups.items() if of.sum() >= 10},
    }


def _subgroup(quality: npt.NDArray[np.float32], mos: npt.NDArray[np.float64]) -> dict[str, Any]:
    ends = interval(bootstrap_pairs(quality, mos, ("srcc",), draws=1000)["srcc"])
    return {
        "n": len(mos),
        "srcc": round(srcc(quality, mos), 4),
        "srcc_ci": None if ends is None else [round(end, 4) for end in ends],
        "bias": round(100 * float(np.mean(quality - mos)), 2),
    }


def _guessing(data: Data) -> float:
    """Pooled SRCC of answering with the mean training opinion of the picture's subset, without looking at it."""
    mos, subset = _labels(data.photos)
    means = {name: float(mos[subset == name].mean()) for name in np.unique(subset)}
    held, where = _labels(data.val_photos)
    return round(srcc([means[name] for name in where], held), 4)


def _training(recipe: EmbeddedJudge, data: Data, log: Path) -> dict[str, Any]:
    digest = hashlib.sha256()
    for sample in (*data.photos, *data.faces):
        digest.update(f"{sample.name}\0{sample.label}\0".encode() + hashlib.sha256(sample.read()).digest())
    return {
        "recipe": "recipes/embedded_judge.py",
        "settings": asdict(recipe),
        "start": "random weights",
        "data": [
            {
                "name": "BIQ2021, train part",
                "pictures": len(data.photos),
                "rows_without_shard": data.absent,
                "terms": "offered for research by its authors; no licence file; not shipped with mien",
                "opinions": "mean of 30 laboratory observers",
            },
            {
                "name": "SFHQ and SFHQ-T2I",
                "pictures": len(data.faces),
                "terms": "MIT",
                "opinions": "none; synthetic faces",
            },
        ],
        "data_sha256": digest.hexdigest(),
        "teacher": "MobileNetV2 (Apache-2.0, ImageNet), fine-tuned on the opinions and on the ladders; not shipped",
        "epochs_logged": len(log.read_text().splitlines()),
        "torch": torch.__version__,
    }


def _degradations(recipe: EmbeddedJudge, data: Data, judge: probe.JudgeViews) -> dict[str, Any]:
    """The probe on held-back photographs and faces."""

    def two(pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return judge(pixels)[:2]  # type: ignore[return-value]

    result: dict[str, Any] = {
        "note": "pairs whose strengths differ by 0.5 or more; strengths of mien.data.degradations"
    }
    for name, samples in (("photographs", data.val_photos), ("faces", data.val_faces)):
        reports = probe.probe(two, [s.open() for s in samples[: recipe.probed]], recipe.preprocess.size_px)
        result[name] = {
            kind: {
                "ordered": round(r.ordered, 4),
                "mean_drop": round(r.mean_drop, 4),
                "attribute_srcc": {a: round(v, 3) for a, v in r.attribute_srcc.items()},
            }
            for kind, r in reports.items()
        }
    return result


def _steadiness(recipe: EmbeddedJudge, data: Data, judge: probe.JudgeViews) -> dict[str, Any]:
    """What changes that no eye notices do to the score of held-back photographs, in points of 100."""
    size = recipe.preprocess.size_px
    reports = probe.steadiness(lambda pixels: judge(pixels)[0], [s.open() for s in data.val_photos], size)
    return {
        "note": "absolute change of the score of the whole picture, points of 100, BIQ2021 val",
        **{change: {k: round(100 * v, 3) for k, v in asdict(report).items()} for change, report in reports.items()},
    }


#: found by looking at it
KNOWN_FAILURES = (
    "Over-exposure lowers the score of a photograph less surely than the other faults (see degradations).",
    "It knows the pictures that it was trained on almost by heart: its scores of BIQ2021 train say nothing about it, "
    "and its spread, learned on them, tells hard pictures from easy ones only a little.",
    "Everything is judged at 256 x 256: faults that vanish at that size (slight blur or light compression of a large "
    "photograph) are not seen.",
    "Opinions are of whole photographs of all kinds, not of portraits; the four reasons were learned from synthetic "
    "degradations of photographs rated above 0.75 and of synthetic faces.",
    "Very dark or very bright pictures that are meant to be so are taken for badly exposed.",
    "The interval is calibrated on photographs like those of BIQ2021; on drawings, screenshots and documents it means "
    "nothing.",
)


def _say(text: str) -> None:
    print(text, flush=True)


def parser(description: str | None, *, work: Path, out: Path) -> argparse.ArgumentParser:
    """The places that this recipe and its ablation need."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", type=Path, required=True, help="folder that holds biq2021/ and sfhq/")
    made.add_argument("--backbone", type=Path, required=True, help="folded MobileNetV2, .npz")
    made.add_argument("--work", type=Path, default=work)
    made.add_argument("--out", type=Path, default=out)
    return made


def main() -> None:
    """Command line of the recipe."""
    options = parser(__doc__, work=Path(".cache/embedded_judge"), out=Path("src/mien/runtime/judges"))
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options.add_argument("--compile", action="store_true", help="let torch compile the networks, for a GPU")
    options.add_argument("--quick", action="store_true", help="a smoke test on a few pictures")
    args = options.parse_args()
    recipe = QUICK if args.quick else EmbeddedJudge()
    torch.backends.cudnn.benchmark = True
    data = read(args.data, recipe)
    card = run(
        recipe, data, args.backbone, args.work, args.out, device=torch.device(args.device), compiled=args.compile
    )
    _say(str(card))


if __name__ == "__main__":
    main()
