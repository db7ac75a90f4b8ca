"""Dual-set degradation learning of DSL-FIQA: an encoder learns degradations from synthetic and real pictures at once.

Paper:    Chen et al., "DSL-FIQA: assessing facial image quality via dual-set degradation learning and landmark-guided
          transformer", CVPR 2024
Stated:   each anchor of one set is compared with a soft mixture of the other set ("soft proximity mapping"), in both
          directions, by a contrastive loss. Configuration of the released code: similarity squared L2, temperature 1,
          queue 2048; its InfoNCE class: L2-normalised vectors, temperature 0.2.
Unknown:  the formula of the mapping and how the two directions are joined: no released script trains the encoder.
          Ours: weights softmax_j(-|a_i - b_j|² / temperature), gradients through both sides, the sum of the directions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def soft_proximity_mapping(anchors: Tensor, others: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Each anchor's counterpart in the other set: the mean of `others`, weighted by softmax(-squared distance / T).

    Args:
        anchors: (n, d) float, degradation representations of one set.
        others: (m, d) float, of the other set.
        temperature: > 0; towards 0 the nearest one, towards infinity the plain mean.

    Returns:
        (n, d) float, inside the convex hull of `others`.
    """
    nearness = 2 * anchors @ others.T - others.square().sum(1)  # -|a - b|² but for |a|², which softmax does not see
    return (nearness / temperature).softmax(1) @ others


def info_nce(
    anchors: Tensor, positives: Tensor, negatives: Tensor | None = None, *, temperature: float = 0.2
) -> Tensor:
    """InfoNCE on L2-normalised vectors: cross-entropy of finding the own positive among those of the others.

    Args:
        anchors: (n, d) float.
        positives: (n, d) float, row i belongs to anchor i and is a negative of all others.
        negatives: (k, d) float, further ones, as from a queue.
        temperature: > 0.

    Returns:
        () float, at least 0; 0 for a single anchor without negatives, log(n + k) when all vectors are equal.
    """
    candidates = positives if negatives is None else torch.cat([positives, negatives])
    logits = F.normalize(anchors, dim=1) @ F.normalize(candidates, dim=1).T / temperature
    return F.cross_entropy(logits, torch.arange(len(anchors), device=anchors.device))


def dual_set_loss(
    synthetic: Tensor, real: Tensor, *, mapping_temperature: float = 1.0, temperature: float = 0.2
) -> Tensor:
    """Both directions: synthetic anchors against their counterparts among the real ones, and the other way round.

    Args:
        synthetic: (n, d) float, representations of faces with known degradations.
        real: (m, d) float, representations of faces as they are.
        mapping_temperature: of `soft_proximity_mapping`.
        temperature: of `info_nce`.

    Returns:
        () float, at least 0; the same with the two sets exchanged.
    """
    forth = info_nce(
        synthetic, soft_proximity_mapping(synthetic, real, temperature=mapping_temperature), temperature=temperature
    )
    back = info_nce(
        real, soft_proximity_mapping(real, synthetic, temperature=mapping_temperature), temperature=temperature
    )
    return forth + back
