"""Whether two pictures show the same person: the cosine of two AdaFace embeddings, when somebody has its weights.

The network is torch and lives in `mien.models.adaface`, which faces may not import; it is handed in as a function:

    from mien.faces import identity
    from mien.faces.find import Finder
    from mien.models.adaface import embedder

    embed = embedder("adaface-ir50", "adaface_ir50_ms1mv2.ckpt")
    identity.similarity(Image.open("a.jpg"), Image.open("b.jpg"), Finder.load().find, embed)

Nothing is kept: aligned faces and embeddings live as long as the call. An embedding is a biometric template of a
person; whoever stores one needs a reason and, in many places, a permission.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.errors import UnreadableImageError, UsageError
from mien.core.types import Face
from mien.faces.align import aligned

FACE_PX = 112

Find = Callable[[Image.Image], Sequence[Face]]  #: faces of a picture, the largest first
Embed = Callable[[Sequence[Image.Image]], npt.NDArray[np.floating]]  #: n aligned RGB faces of 112 px -> (n, d)


def similarity(first: Image.Image, second: Image.Image, find: Find, embed: Embed) -> float:
    """How alike the largest faces of two pictures are.

    Args:
        first: upright, mode RGB.
        second: likewise.
        find: for example `Finder.load().find`.
        embed: for example `mien.models.adaface.embedder(...)`.

    Returns:
        -1..1, higher is more alike. Where "the same person" begins depends on the weights and on how many false
        matches can be borne: choose the threshold on pairs of your own.

    Raises:
        UnreadableImageError: a picture without a face; its `status` is `no_face`.
        UsageError: see `cosine`.
    """
    faces = []
    for which, picture in (("first", first), ("second", second)):
        found = find(picture)
        if not found:
            size = f"{picture.width} x {picture.height}"
            raise UnreadableImageError("no_face", f"no face in the {which} picture ({size})")
        faces.append(aligned(picture, found[0], FACE_PX))
    return cosine(*embed(faces))


def cosine(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> float:
    """Cosine of the angle between two embeddings, -1..1.

    Args:
        a: (d,) of any length but 0.
        b: (d,).

    Raises:
        UsageError: other shapes, an embedding of length 0, or one that is not finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise UsageError(f"embeddings are two vectors of one length, not {a.shape} and {b.shape}")
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if not np.isfinite(lengths) or lengths == 0:
        raise UsageError("an embedding of length 0, or one that is not finite, points nowhere")
    return float(np.clip(a @ b / lengths, -1.0, 1.0))
