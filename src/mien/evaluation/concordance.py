"""Kendall's τ-b of many resamples at once: rows carry counts instead of being copied.

The rows are put in the order of the labels once; what then differs between two draws is only how often each row counts.
Discordant pairs are inversions of the predictions in that order. They are counted as in a merge sort whose comparisons
are the same in every draw: small blocks through a matrix product, then halves against each other through running sums.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

BLOCK = 128  #: rows at most that are compared through a matrix product
_BATCH = 8  #: draws per matrix product: small enough that BLAS starts no threads, which on a busy machine cost 10 times


def times(counts: Array, matrix: Array) -> Array:
    """counts (..., draws, n) @ matrix (..., n, k), in products that are too small for the threads of BLAS."""
    draws = counts.shape[-2]
    whole = draws - draws % _BATCH
    product = np.empty((*counts.shape[:-1], matrix.shape[-1]))
    shape = (*counts.shape[:-2], -1, _BATCH, counts.shape[-1])
    if whole:
        batches = counts[..., :whole, :].reshape(shape) @ matrix[..., None, :, :]
        product[..., :whole, :] = batches.reshape(*counts.shape[:-2], whole, -1)
    if whole < draws:
        product[..., whole:, :] = counts[..., whole:, :] @ matrix
    return product


class WeightedConcordance:
    """τ-b of n rows, for counts that differ from draw to draw."""

    def __init__(self, x: Array, y: Array) -> None:
        """Sort once.

        Args:
            x: (n,) predictions.
            y: (n,) labels, in the same order.
        """
        self._order = np.lexsort((x, y))  # by label; equal labels by prediction, so that they hold no inversion
        self._joint = _starts(x[self._order], y[self._order])
        levels = max(0, int(np.ceil(np.log2(max(len(x), 1) / BLOCK))))
        self._blocks = 2**levels
        self._size = self._blocks * -(-len(x) // self._blocks)
        padded = np.full(self._size, np.inf)  # what is beyond the rows never counts: its weight is 0
        padded[: len(x)] = x[self._order]
        inside = padded.reshape(self._blocks, -1)
        self._inverted = np.triu(inside[:, :, None] > inside[:, None, :], 1).astype(np.float64)
        self._merges = [_merge(padded, self._size >> level) for level in range(levels)]

    def discordant(self, counts: Array) -> Array:
        """Pairs whose two orders disagree, for counts (draws, n): (draws,), each an exact whole number."""
        weight = np.zeros((len(counts), self._size))
        weight[:, : counts.shape[1]] = counts[:, self._order]
        blocks = np.moveaxis(weight.reshape(len(counts), self._blocks, -1), 0, 1)
        total = np.einsum("bci,bci->c", times(blocks, self._inverted), blocks)
        for order, left, segments in self._merges:
            moved = weight[:, order]
            below = np.cumsum((moved * ~left).reshape(len(counts), segments, -1), axis=2).reshape(moved.shape)
            below *= left
            total += np.einsum("ci,ci->c", below, moved)
        return total

    def tied(self, counts: Array) -> Array:
        """Pairs tied on both sides, copies of one row among them, for counts (draws, n): (draws,)."""
        together = np.add.reduceat(counts[:, self._order], self._joint, axis=1)
        return (np.einsum("ci,ci->c", together, together) - together.sum(axis=1)) / 2


def _merge(values: Array, length: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], int]:
    """How the two halves of each segment of `length` rows are merged: (order, from the left half, segments)."""
    segments = len(values) // length
    side = np.arange(len(values)) % length >= length // 2  # a left row comes before an equal right one
    order = np.lexsort((side, values, np.arange(len(values)) // length))
    return order, ~side[order], segments


def _starts(*columns: Array) -> npt.NDArray[np.intp]:
    """Where a new value begins in columns that are sorted."""
    changes = np.any([np.diff(column) != 0 for column in columns], axis=0)
    return np.concatenate([[0], np.flatnonzero(changes) + 1]).astype(np.intp)
