"""The face finder that ships: scenes with known faces, a network from random weights, ONNX and card.

    python recipes/face_finder.py --data ../shared/data --teacher ../shared/models/yunet_n_dynamic.onnx

Data:    BIQ2021 (photographs; where people are in them YuNet has said, see the card) and SFHQ (synthetic faces);
         their val parts are only measured on
Time:    on two CPU cores a quarter of an hour for the scenes, which are rendered once, and half a second for each of
         the 1,250 steps of an epoch; set OMP_NUM_THREADS=1, because the next windows are read meanwhile
Needs:   pip install "mien[train]"; 12.3 GB of disk under --work
Scenes are rendered in one go; epochs that a killed run has finished are not done again, and inside an epoch it goes on
at its last checkpoint. `--begin CHECKPOINT NAME` goes on from the weights of another run that has ended: mien-finder@3
is 10 epochs that began where the 9 epochs of mien-finder@2 had ended.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from mien.core.errors import ModelError
from mien.core.types import Face
from mien.data import composites
from mien.data.composites import ScenePlan, Sources
from mien.data.face_labels import LOOKS_PX, consensus
from mien.evaluation import finding
from mien.evaluation.detection import Matched, confidence_at
from mien.faces.find import FOLDER, Finder
from mien.models.finder_net import FinderNet
from mien.runtime.model_file import open_session
from mien.training import finder, hints, scenes
from mien.training.finder import FinderRecipe, Windows
from mien.training.scenes import Scenes


@dataclass(frozen=True)
class FaceFinder:
    """Everything that decides the weights."""

    name: str = "mien-finder"
    version: str = "3"
    plan: ScenePlan = field(
        default_factory=lambda: ScenePlan(
            kinds=(("composite", 0.37), ("photograph", 0.48), ("empty", 0.15)), exchanged_share=0.5, covered_share=0.25
        )
    )
    scenes: int = 40_000
    scene_seed: int = 20261126
    cut_px: float = 20.0  #: see `mien.data.composites.read`
    training: FinderRecipe = field(default_factory=FinderRecipe)
    size_px: int = 640  #: what the card recommends
    nms_iou: float = 0.45
    lowest: float = 0.02  #: confidence down to which it is measured
    false_faces: float = 0.03  #: a picture without people, at the confidence that the card recommends
    watched: int = 100  #: pictures of each kind that are measured on during training
    measured: int = 300  #: scenes of each kind, and all photographs, at the end


QUICK = FaceFinder(
    name="mien-finder-quick",
    plan=ScenePlan(size_px=128, face_px=(24.0, 80.0)),
    scenes=12,
    training=FinderRecipe(epochs=2, windows=(Windows(px=96, batch=4),)),
    lowest=0.3,
    watched=2,
    measured=2,
)


@dataclass(frozen=True)
class Begin:
    """Where a run starts that goes on from another one."""

    checkpoint: Path  #: of a run that has ended
    name: str  #: of what that run made, for the card


def run(
    recipe: FaceFinder, root: Path, teacher: Path | None, work: Path, out: Path, begin: Begin | None = None
) -> Path:
    """All stages; returns the card. Without a teacher there are the labels of the tables, and nothing else."""
    work.mkdir(parents=True, exist_ok=True)
    relabel = labels_of(teacher)
    train = composites.read(root, "train", relabel, cut_px=recipe.cut_px, doubtful=True)
    held = composites.read(root, "val", relabel)
    _say(f"{len(train.portraits)} portraits, {len(train.photographs)} photographs, {len(train.empty)} without people")
    _say(f"{len(train.cut_out)} faces in them that are cut out, too")
    clean = replace(recipe.plan, degraded_share=0.0)  # that is done anew for each window
    drawn = scenes.build(train, clean, recipe.scenes, recipe.scene_seed, work / "scenes")
    _say(f"{len(drawn)} scenes with {int((~drawn.ignored).sum())} faces")
    watched = finding.trials(held, recipe.watched, photographs=recipe.watched)

    def validate(net: FinderNet) -> dict[str, Any]:
        finder.export(net, work / "watched.onnx")
        compared = finding.compare(_finder(work / "watched.onnx", recipe), watched)
        confidence = confidence_at(compared["empty"], 2 * recipe.false_faces)
        return _summary(finding.report(compared, confidence), 2 * recipe.false_faces)

    earlier = None if begin is None else begin.checkpoint
    key = _key(recipe, drawn, *(file.read_bytes() for file in (teacher, earlier) if file is not None))
    answers = None if teacher is None else _teaching(teacher)
    given = {"through": recipe.plan, "teacher": answers, "begin": earlier}
    net = finder.fit(drawn, recipe.training, work, key, validate=validate, tell=_say, **given)
    out.mkdir(parents=True, exist_ok=True)
    model = out / f"{recipe.name}-{recipe.version}.onnx"
    finder.export(net, model)
    log = (work / "finder.jsonl").read_bytes()
    card = model.with_suffix(".json")
    card.unlink(missing_ok=True)  # of an earlier file
    compared = finding.compare(_finder(model, recipe), finding.trials(held, recipe.measured))
    facts = _card(recipe, model, train, held, drawn, compared, log)
    facts["training"]["portraits_labelled"] = (
        "by their table" if teacher is None else f"median of the looks of {teacher.name} at {LOOKS_PX} px and mirrored"
    )
    facts["training"]["teacher"] = (
        None if teacher is None else f"{teacher.name} at every window of the scenes, before it is degraded"
    )
    if begin is not None:
        facts["training"] |= _begun(begin, facts["training"]["epochs_logged"] - recipe.training.epochs)
    card.write_text(json.dumps(facts, indent=2) + "\n")
    (out / f"{recipe.name}-{recipe.version}.log.jsonl").write_bytes(log)
    return card


def _begun(begin: Begin, epochs: int) -> dict[str, Any]:
    """What the card says of a run that went on from another one."""
    return {
        "start": f"the average of the weights of {begin.name} after its {epochs} epochs, which lead the log; its card "
        f"says what they saw",
        "start_sha256": hashlib.sha256(begin.checkpoint.read_bytes()).hexdigest(),
        "epochs_before": epochs,
    }


def labels_of(teacher: Path | None) -> Callable[[Image.Image, Face], Face] | None:
    """Portraits as the teacher sees them in several looks."""
    if teacher is None:
        return None
    looks = [Finder.load(teacher, size_px=size_px).find for size_px in LOOKS_PX]
    return lambda picture, known: consensus(looks, picture, known)


def _teaching(teacher: Path) -> hints.Teacher:
    """The teacher, with what its heads read where that is known."""
    try:
        network = hints.exposed(teacher)
    except ModelError as error:
        _say(f"no hints: {error}")
        return Finder.load(teacher, threads=1).answers
    return Finder(open_session(network, 1, teacher), teacher.name).answers


def _finder(model: Path, recipe: FaceFinder) -> finding.Find:
    """The file that ships, asked for all that may be a face."""
    return Finder.load(model, size_px=recipe.size_px, confidence=recipe.lowest, nms_iou=recipe.nms_iou).find


def _summary(numbers: Mapping[str, Mapping[str, Any]], false_faces: float) -> dict[str, float]:
    """What the log keeps of a validation: recall by kind and average precision over the kinds with known faces.

    Recall is that at a confidence which leaves so many `false_faces` a picture without people.
    """
    recalls = {f"recall_{kind}": values["recall"] for kind, values in numbers.items() if "recall" in values}
    areas = [values["average_precision"] for values in numbers.values() if "average_precision" in values]
    error = numbers["clean"].get("landmark_error")
    return {
        "average_precision": round(sum(areas) / max(1, len(areas)), 4),
        "false_faces": false_faces,
        **recalls,
        **({} if error is None else {"landmark_error_clean": error}),
    }


def _key(recipe: FaceFinder, drawn: Scenes, *files: bytes) -> str:
    settings = json.dumps([asdict(recipe.plan), recipe.scenes, recipe.scene_seed, asdict(recipe.training)])
    return hashlib.sha256(settings.encode() + drawn.boxes.tobytes() + b"".join(files)).hexdigest()


def _card(
    recipe: FaceFinder,
    model: Path,
    train: Sources,
    held: Sources,
    drawn: Scenes,
    compared: Mapping[str, Sequence[Matched]],
    log: bytes,
) -> dict[str, Any]:
    """Everything the runtime and the reader need; all figures are of the ONNX file, on pictures not trained on.

    The confidence is chosen on every second picture without people; the numbers are of the others.
    """
    found_alone = confidence_at(compared["empty"][::2], recipe.false_faces)
    confidence = max(recipe.lowest, math.ceil(1000 * found_alone) / 1000)
    counted = {**compared, "empty": compared["empty"][1::2]}
    return {
        "schema": 1,
        "name": recipe.name,
        "version": recipe.version,
        "file": model.name,
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "licence": "Apache-2.0 (weights and code)",
        "task": "faces with five landmarks in a photograph, good or bad",
        "input": "upright picture, sRGB, shrunk to size_px where it is larger, black to the right and below; uint8 RGB",
        "find": {"size_px": recipe.size_px, "confidence": confidence, "nms_iou": recipe.nms_iou},
        "training": _training(recipe, train, drawn, log),
        "metrics": {
            "data": "BIQ2021 val and SFHQ val, never trained on; watched during training, not used to choose an epoch",
            "note": "pictures of 320 px; kinds as in mien.evaluation.finding; landmark_error is a median in parts of "
            "the eye distance; the confidence leaves the named false faces a picture on half of the empty ones",
            "false_faces_allowed": recipe.false_faces,
            "people_free_pictures_for_the_confidence": len(compared["empty"][::2]),
            "held_out_portraits": len(held.portraits),
            **finding.report(counted, confidence),
        },
        "known_failures": list(KNOWN_FAILURES),
    }


def _training(recipe: FaceFinder, train: Sources, drawn: Scenes, log: bytes) -> dict[str, Any]:
    return {
        "recipe": "recipes/face_finder.py",
        "settings": asdict(recipe),
        "start": "random weights",
        "epochs_before": 0,
        "data": [
            {
                "name": "BIQ2021, train part",
                "pictures": len(train.photographs) + len(train.empty),
                "with_people": sum(1 for seen in train.photographs if seen.faces),
                "with_something_doubtful_alone": sum(1 for seen in train.photographs if not seen.faces),
                "faces_cut_out": len(train.cut_out),
                "terms": "offered for research by its authors; no licence file; not shipped with mien",
                "faces": f"pseudo-labels of YuNet (Apache-2.0, itself trained on WIDER FACE), confidence "
                f"{composites.SURE} and above; those cut out as portraits_labelled; not shipped",
            },
            {
                "name": "SFHQ and SFHQ-T2I, train part",
                "pictures": len(train.portraits),
                "terms": "MIT; synthetic faces",
                "faces": "box and landmarks of YuNet in the upright portrait, see portraits_labelled",
            },
        ],
        "scenes": {"count": len(drawn), "faces": int((~drawn.ignored).sum()), "ignored": int(drawn.ignored.sum())},
        "labels_sha256": hashlib.sha256(drawn.boxes.tobytes() + drawn.landmarks.tobytes()).hexdigest(),
        "epochs_logged": len(log.splitlines()),
        "torch": torch.__version__,
    }


#: what the data make likely, and what was found by looking
KNOWN_FAILURES = (
    "It learned from few faces: of those that YuNet sees in photographs new to it, it misses many below an eighth "
    "of the picture's side, and profiles, shaded and backlit ones of every size (see metrics, photographs). For groups "
    "take another one.",
    "What is round and has dark spots (bowls of food, flowers, the faces of cats) is now and then taken for a face.",
    "Landmarks of profiles and of turned or covered faces are drawn towards those of a frontal face.",
    "All labels go back to YuNet: faces that it does not see in a good picture were never learned, and its taste "
    "(apes, masks and statues may count as faces) was.",
    "Many faces of the training are synthetic portraits of adults, nearly frontal; profiles and people from behind are "
    "rare.",
    "Of the faces below 16 px of the network's input it misses most.",
)


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds biq2021/ and sfhq/")
    parser.add_argument("--teacher", type=Path, help="YuNet: steadier labels, and what it says of each window")
    parser.add_argument(
        "--begin", nargs=2, metavar=("CHECKPOINT", "NAME"), help="go on from the weights of a run that has ended"
    )
    parser.add_argument("--work", type=Path, help="default: .cache/NAME-VERSION-SCENES")
    parser.add_argument("--out", type=Path, help="default: the package's folder; of a smaller run WORK/out")
    parser.add_argument("--scenes", type=int, help="instead of the recipe's")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--quick", action="store_true", help="a smoke test on a few scenes")
    args = parser.parse_args()
    recipe = QUICK if args.quick else FaceFinder()
    if args.scenes:
        recipe = replace(recipe, scenes=args.scenes)
    if args.epochs:
        recipe = replace(recipe, training=replace(recipe.training, epochs=args.epochs))
    work = args.work or Path(".cache") / f"{recipe.name}-{recipe.version}-{recipe.scenes}"
    out = args.out or (FOLDER if recipe == FaceFinder() else work / "out")
    begin = None if args.begin is None else Begin(Path(args.begin[0]), args.begin[1])
    _say(str(run(recipe, args.data, args.teacher, work, out, begin)))


if __name__ == "__main__":
    main()
