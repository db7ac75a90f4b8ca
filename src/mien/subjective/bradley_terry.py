"""Bradley-Terry: P(i preferred to j) = 1 / (1 + exp(-(θ_i - θ_j))).

Source:   Bradley and Terry, Biometrika 1952; Hunter, Annals of Statistics 2004
Input:    votes of one group; missing pairs and repetitions are fine, a tie is half a vote for either side
Output:   θ in logits, mean 0; a distance of ln 3 = 1.0986 means that 75 % prefer the better one, as 1 JOD does
Same as:  choix.ilsr_pairwise, mm_pairwise and opt_pairwise without regularisation, and opt_pairwise with the same
          alpha. The alpha of the other two is another penalty. sureal's standard errors have a slip (`n / pp*2`).
"""

from __future__ import annotations

from scipy.special import expit, log_expit

from mien.subjective.paired_likelihood import Link, scale_by
from mien.subjective.pairs import Pairs
from mien.subjective.result import Scale

LOGIT = Link(log_expit, lambda x: expit(-x), lambda x: expit(x) * expit(-x))


def bradley_terry(pairs: Pairs, *, alpha: float = 0.0, level: float = 0.95) -> Scale:
    """Scores in logits; arguments and errors as `paired_likelihood.scale_by`."""
    return scale_by(
        LOGIT, pairs, method="bradley-terry", unit="logits; 1.0986 = 75 % prefer it", alpha=alpha, level=level
    )
