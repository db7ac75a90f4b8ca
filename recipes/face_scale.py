"""The part of a judge's card that says how to read its number for a crop around a face.

    python recipes/face_scale.py --data ../shared/data src/mien/runtime/judges/mien-judge-4.onnx

Data:    photographs of BIQ2021 with a face of YuNet's confidence 0.85 and above, and their opinions
Time:    a minute
The network stays as it is. Opinions are of whole photographs: what is fitted is how well a photograph was liked, given
what the judge says of the largest face in it. Only faces whose crop need not be enlarged count for the scale; smaller
ones, which people did not see enlarged either, count for the interval.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.data import biq2021
from mien.data.composites import SURE
from mien.evaluation.correlation import srcc
from mien.evaluation.resampling import bootstrap_pairs, interval
from mien.faces.align import upright_crop
from mien.faces.scorer import MARGIN
from mien.runtime.judge import Judge
from mien.training import calibrate

SMALLEST_PX = 80  #: of a face, for interval and population
LEVEL = 0.9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """n photographs, one face each; aligned arrays."""

    opinion: Floats  #: 0..1
    crop: Floats  #: raw value of the crop around the face
    spread: Floats  #: the judge's own guess of its error, of the crop
    whole: Floats  #: raw value of the whole photograph
    crop_px: Floats  #: side of the crop in the photograph
    held: npt.NDArray[np.bool_]  #: not in the training of the judge

    def __getitem__(self, chosen: npt.NDArray[np.bool_]) -> Seen:
        """Those that are true."""
        return Seen(*(values[chosen] for values in vars(self).values()))


def look(model: Path, root: Path) -> Seen:
    """What the judge says of the largest face of each photograph under `root`, the folder of BIQ2021."""
    return Seen(*map(np.array, zip(*_rows(model, root), strict=True)))


def _rows(model: Path, root: Path) -> Iterator[tuple[float, float, float, float, float, bool]]:
    import onnxruntime

    judge, session = Judge.load(model), onnxruntime.InferenceSession(model)
    found = biq2021.faces(root)
    for sample in biq2021.read(root).samples:
        sure = [face for face in found.get(sample.name) or () if face.confidence >= SURE]
        if not sure:
            continue
        picture = sample.open()
        face = max((face.moved(picture.size) for face in sure), key=lambda face: face.area)
        if max(face.box[2] - face.box[0], face.box[3] - face.box[1]) < SMALLEST_PX:
            continue
        cut = upright_crop(picture, face, margin=MARGIN)
        image = np.stack([judge.prepare(shown)["image"] for shown in (cut, picture)])
        quality, spread = (np.asarray(v) for v in session.run(["quality", "spread"], {"image": image}))
        opinion = sample.label
        assert opinion is not None
        yield opinion, float(quality[0]), float(spread[0]), float(quality[1]), cut.width, sample.split == "val"


def faces_part(seen: Seen, enough_px: int) -> dict[str, Any]:
    """What the card says of faces.

    Args:
        seen: photographs with a face of `SMALLEST_PX` and more, at least 20 of them held out.
        enough_px: side from which a crop need not be enlarged.
    """
    fitted = seen[(seen.crop_px >= enough_px) & ~seen.held]
    slope, offset = np.polyfit(fitted.crop, fitted.opinion, 1)
    held = seen[seen.held]
    # the runtime takes intervals in raw values, and one unit of these is `slope` of opinion
    error = np.abs(offset + slope * held.crop - held.opinion) / slope
    coverage, coverage_sd = calibrate.coverage(error, held.spread, LEVEL)
    return {
        "rests_on": "opinions of whole photographs of BIQ2021 with a face, nobody rated faces alone. For the scale "
        f"{len(fitted.opinion)} of the training of the judge whose crop has {enough_px} of 320 px and more and is not "
        f"enlarged: the face fills most of the photograph. For the interval {len(held.opinion)} held out, with faces "
        f"of {SMALLEST_PX} of 320 px and more",
        "margin": MARGIN,
        "raw_range": [round(float((end - offset) / slope), 4) for end in (0.0, 1.0)],
        "interval": {
            "level": LEVEL,
            "factor": calibrate.interval_factor(error, held.spread, LEVEL),
            "coverage_held_out": round(coverage, 4),
            "coverage_sd_over_splits": round(coverage_sd, 4),
            "method": "split conformal on the held-out photographs; coverage: on one half with the factor of the other",
        },
        "population": {
            "name": f"largest face of {len(seen.crop)} photographs of BIQ2021, {SMALLEST_PX} of 320 px and more",
            "n": len(seen.crop),
            "raw_quantiles": calibrate.population_quantiles(seen.crop),
        },
        "metrics": {
            "note": "opinion of the photograph against the score of its largest face, and against that of the whole",
            "crops not enlarged": _agreement(fitted),
            "held out": _agreement(held),
        },
    }


def _agreement(seen: Seen) -> dict[str, Any]:
    return {
        "n": len(seen.opinion),
        **{name: _srcc(getattr(seen, name), seen.opinion) for name in ("crop", "whole")},
    }


def _srcc(raw: Floats, opinion: Floats) -> dict[str, Any]:
    ends = interval(bootstrap_pairs(raw, opinion, ("srcc",), draws=1000)["srcc"])
    return {"srcc": round(srcc(raw, opinion), 4), "srcc_ci": None if ends is None else [round(e, 4) for e in ends]}


def main() -> None:
    """Command line of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="an .onnx file with its card; the card gains the part `faces`")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds biq2021/")
    args = parser.parse_args()
    card = args.model.with_suffix(".json")
    facts = json.loads(card.read_text())
    facts["faces"] = faces_part(look(args.model, args.data / "biq2021"), facts["preprocess"]["size_px"])
    card.write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps({k: v for k, v in facts["faces"].items() if k != "population"}, indent=2))


if __name__ == "__main__":
    main()
