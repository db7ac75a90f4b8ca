"""Which faces of some pictures are of one person: their embeddings put into groups, and nothing else.

Average linkage (Sokal, Michener, "A statistical method for evaluating systematic relationships", 1958) on the cosine:
two groups are as alike as the mean over all pairs between them, so one chance resemblance does not chain two people
together, as single linkage would, and one bad picture does not tear a person apart, as complete linkage would.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError

Vectors = npt.NDArray[np.floating]

MOST = 10_000  #: faces at once: they take 0.8 GB


def people(embeddings: Vectors, pictures: Sequence[Hashable], *, same: float) -> list[int]:
    """Number the people: the same number for faces of one person, different ones for two faces of one picture.

    Every face begins alone; the two groups that are most alike are joined, again and again, as long as their mean
    cosine is `same` or more. Groups that have a picture in common are never joined.

    Args:
        embeddings: (n, d), of any length but 0; n may be 0.
        pictures: (n,) the picture that each face is on.
        same: -1..1, the mean cosine from which on two groups are one person; see `mien.faces.identity.similarity`.

    Returns:
        (n,) numbers 0, 1, ... in the order in which the people first appear. Who is with whom does not depend on the
        order of the pictures.

    Raises:
        UsageError: other shapes, more than `MOST` faces, or an embedding of length 0 or that is not finite.
    """
    vectors = np.asarray(embeddings)
    if len(vectors) > MOST:
        raise UsageError(
            f"{len(vectors):,} faces at once are more than {MOST:,}: take fewer pictures, or smaller bursts"
        )
    if vectors.ndim != 2 or len(vectors) != len(pictures):
        raise UsageError(
            f"embeddings are (n, d), one for each of {len(pictures)} faces, and not of the shape {vectors.shape}"
        )
    order = _order(vectors)
    alike = _cosines(vectors[order])
    names = {picture: i for i, picture in enumerate(dict.fromkeys(pictures))}
    of = np.array([names[pictures[i]] for i in order])
    alike[of[:, None] == of] = -np.inf
    return _numbered([[order[i] for i in group] for group in _joined(alike, same)], len(order))


def _order(vectors: Vectors) -> list[int]:
    """The faces in an order that their embeddings alone decide, so that ties do not hang on the order of the files.

    Between equal embeddings there is nothing to decide: unless they are on one picture, they are joined before others.
    """
    return sorted(range(len(vectors)), key=lambda i: vectors[i].tobytes())


def _cosines(vectors: Vectors) -> npt.NDArray[np.float64]:
    """(n, d) -> (n, n)."""
    directions = vectors.astype(np.float64)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise UsageError("an embedding of length 0, or one that is not finite, points nowhere")
    directions /= lengths
    return directions @ directions.T


def _joined(alike: npt.NDArray[np.float64], same: float) -> list[list[int]]:
    """Groups of rows. `alike` is overwritten: of two groups their mean cosine, -inf where they may not be joined.

    The mean of a joined group with a third is the weighted mean of its parts, and -inf if one of them is. It is never
    above the higher of the two, so a group whose nearest was neither part keeps its nearest.
    """
    groups = [[i] for i in range(len(alike))]
    if not groups:
        return groups
    nearest = alike.argmax(axis=1)
    rows = np.arange(len(groups))
    while True:
        highest = alike[rows, nearest]
        i = int(highest.argmax())
        j = int(nearest[i])
        if not highest[i] >= same:
            return [group for group in groups if group]
        n_i, n_j = len(groups[i]), len(groups[j])
        alike[i] = alike[:, i] = (n_i * alike[i] + n_j * alike[j]) / (n_i + n_j)
        alike[i, i] = alike[j] = alike[:, j] = -np.inf
        groups[i] += groups[j]
        groups[j] = []
        moved = (nearest == i) | (nearest == j)
        nearest[moved] = alike[moved].argmax(axis=1)


def _numbered(groups: Sequence[Sequence[int]], n: int) -> list[int]:
    """The number of each face, groups counted by their first one."""
    numbers = [0] * n
    for number, group in enumerate(sorted(groups, key=min)):
        for face in group:
            numbers[face] = number
    return numbers
