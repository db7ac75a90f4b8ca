"""`mien.load`: one way to a judge, be it embedded, an ONNX file, or a published network with its authors' weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mien.scoring import Scorer


def load(
    model: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    raw_range: tuple[float, float] | None = None,
    **options: Any,
) -> Scorer:
    """A `Scorer` for a judge; rows look the same whatever it is.

    Args:
        model: a name of `mien.list_models()`, the path of an .onnx file, or, with `weights`, the name of a published
            network (`mien models list`). Published networks need the extra "torch" and run on the CPU; `mien export`
            makes an .onnx file of one that needs no torch.
        weights: the authors' checkpoint, or the .safetensors that `mien models convert` made of it; without it the one
            file that the cache has for this network (`mien models pull`).
        raw_range: raw values that become score 0 and 100, with `weights`; without it those of the network's card. A
            network that was trained to rank has none there.
        **options: as for `Scorer`.

    Raises:
        ModelError: unknown name, weights of another network, no scale, or a network that judges no single pictures.
        MissingExtraError: a published network without the extra "torch".
    """
    from mien.models import zoo

    if weights is None and os.fspath(model) in zoo.MODELS:
        weights = _from_the_cache(os.fspath(model))
    if weights is None:
        return Scorer(model, **options)
    zoo.need_torch(f"the network {os.fspath(model)}")
    from mien.models.judging import published_judge

    parts = published_judge(os.fspath(model), Path(weights), raw_range=raw_range, threads=options.get("threads"))
    from mien.runtime.judge import Judge, Scale

    return Scorer(Judge(parts.model_id, parts.preprocess, Scale(parts.raw_range), parts.network), **options)


def _from_the_cache(name: str) -> Path:
    """The weights that `mien models pull` or a person put there, if there is no doubt which."""
    from mien.core.errors import ModelError
    from mien.core.weights import cached

    found = cached(name)
    if len(found) == 1:
        return found[0]
    several = f"the cache holds {len(found)} files" if found else "there are none in the cache"
    raise ModelError(
        f"which weights for {name}? {several}: pass weights=FILE (--weights FILE); "
        f"'mien models show {name}' says whether and where its authors offer them"
    )
