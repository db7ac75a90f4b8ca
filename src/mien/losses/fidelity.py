"""Fidelity loss (Tsai et al., SIGIR 2007) between a predicted and a given probability, and the pairs it is used on.

PQE / DN-PIQA, UIQA: pairs of one scene or data set. LIQE: all pairs inside a data set, scenes, distortions.
Φ is the standard normal distribution function. For a difference Δ of two scores the papers print Φ(Δ/√2); the released
code has ½(1 + erf(Δ/√2)), which is Φ(Δ).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

EPS = 1e-8  #: below each root, as in the released code
PAPER, CODE = 1 / math.sqrt(2), 1.0  #: scale of a difference: Φ(Δ/√2), Φ(Δ)
QUARTILE = 0.6744897501960817  #: Φ(this) = 0.75, what 1 JOD means

#: "paper": binary label, Φ(Δ/√2); "code": soft label Φ(ΔJOD), Φ(Δ); "calibrated": soft label with 75 % at 1 JOD (ours);
#: "printed": the label of the survey's equation, which is the wrong way round, kept to show what it does
Convention = Literal["paper", "code", "calibrated", "printed"]


def preference(difference: Tensor, *, scale: float = CODE) -> Tensor:
    """Probability that the first of two is better, Φ(scale · Δ); elementwise, in 0..1."""
    return torch.special.ndtr(scale * difference)


def fidelity_loss(probability: Tensor, label: Tensor, *, eps: float = EPS) -> Tensor:
    """Mean of 1 - √(p p̂ + eps) - √((1 - p)(1 - p̂) + eps).

    On (n, classes) it is LIQE's multi-label scene term: each class on its own, averaged over classes and pictures.

    Args:
        probability: (...) float in 0..1, predicted.
        label: (...) float in 0..1, given.
        eps: keeps the gradient finite at 0 and 1.

    Returns:
        () float, in 0..1 up to 2 √eps: about 0 where both agree, 1 - √½ for an undecided prediction of a sure label.
    """
    agree = (probability * label + eps).sqrt() + ((1 - probability) * (1 - label) + eps).sqrt()
    return (1 - agree).mean()


def single_label_fidelity_loss(probability: Tensor, label: Tensor, *, eps: float = EPS) -> Tensor:
    """LIQE's distortion term: 1 - Σ_c √(p_c g_c + eps), averaged over pictures.

    Args:
        probability: (n, classes) float, rows sum to 1.
        label: (n, classes) float, rows sum to 1 (one-hot).
        eps: below each root.

    Returns:
        () float, in 0..1 up to classes √eps.
    """
    return (1 - (probability * label + eps).sqrt().sum(1)).mean()


def pair_label(first: Tensor, second: Tensor, convention: Convention = "paper") -> Tensor:
    """Probability that `first` is better than `second`, from their opinions.

    Args:
        first: (...) float, opinions, JOD for "calibrated".
        second: (...) float, the same scale.
        convention: "paper" 1 if first >= second, else 0; "code" Φ(Δ); "calibrated" Φ(0.6745 Δ); "printed" 0 if
            first >= second, else 1.

    Returns:
        (...) float, in 0..1.
    """
    match convention:
        case "paper":
            return (first >= second).to(first.dtype)
        case "printed":
            return (first < second).to(first.dtype)
        case "code":
            return preference(first - second)
        case "calibrated":
            return preference(first - second, scale=QUARTILE)


def pair_fidelity_loss(
    first: Tensor, second: Tensor, label_first: Tensor, label_second: Tensor, *, convention: Convention = "paper"
) -> Tensor:
    """Fidelity loss of PQE / DN-PIQA on pairs of one scene; of UIQA ("code") on pairs of one data set.

    UIQA adds 0.1 times the MSE of both predictions.

    Args:
        first: (n,) float, predictions.
        second: (n,) float, predictions of the partners.
        label_first: (n,) float, opinions of `first`.
        label_second: (n,) float, opinions of the partners.
        convention: label and probability, see `Convention`.

    Returns:
        () float, see `fidelity_loss`. "paper" and "printed" are lowest for an infinite lead; "code" and "calibrated"
        for a lead that gives the probability of the label.
    """
    scale = PAPER if convention in ("paper", "printed") else CODE
    return fidelity_loss(
        preference(first - second, scale=scale), pair_label(label_first, label_second, convention).to(first.dtype)
    )


def all_pairs_fidelity_loss(
    predicted: Tensor, target: Tensor, groups: Tensor | None = None, *, scale: float = CODE, eps: float = EPS
) -> Tensor:
    """LIQE's quality term: all pairs i < j inside each data set, label ½(sign(y_i - y_j) + 1), so ½ for a tie.

    Args:
        predicted: (n,) float.
        target: (n,) float; only the order inside a group counts.
        groups: (n,) integer, data set of each picture; None = one.
        scale: `CODE` or `PAPER`.
        eps: below each root.

    Returns:
        () float: mean over the pairs of a group, then over the groups that have a pair; 0 when none has.
    """
    groups = torch.zeros_like(target, dtype=torch.long) if groups is None else groups
    i, j = torch.triu_indices(len(predicted), len(predicted), offset=1, device=predicted.device)
    losses = []
    for group in groups.unique():
        pairs = (groups[i] == group) & (groups[j] == group)
        if pairs.any():
            a, b = i[pairs], j[pairs]
            label = ((target[a] - target[b]).sign() + 1).to(predicted.dtype) / 2
            losses.append(fidelity_loss(preference(predicted[a] - predicted[b], scale=scale), label, eps=eps))
    return torch.stack(losses).mean() if losses else 0 * predicted.sum()
