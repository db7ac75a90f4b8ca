"""Thresholds from data: what they refuse is counted, never more than was allowed."""

from __future__ import annotations

import numpy as np
import pytest

from mien.core.errors import UsageError
from mien.faces.calibrate import propose
from mien.faces.policy import Policy, Rule, Values, decide


def refused(policy: Policy, pictures: list[Values]) -> float:
    return float(np.mean([not decide(policy, values).passed for values in pictures]))


def test_one_rule_refuses_exactly_the_share() -> None:
    pictures: list[Values] = [{"score": float(i)} for i in range(100)]
    found = propose(Policy("p", (Rule("score", min=0),)), pictures, reject=0.1)
    assert found.rules[0].min == 10
    assert refused(found, pictures) == 0.1
    assert found.rules[0].source == "all rules together refuse 10.0 % of 100 pictures"


def test_a_limit_from_above_and_one_from_both_sides() -> None:
    pictures: list[Values] = [{"blur_percent": float(i)} for i in range(100)]
    assert propose(Policy("p", (Rule("blur_percent", max=0),)), pictures, reject=0.2).rules[0].max == 79
    both = propose(Policy("p", (Rule("blur_percent", min=0, max=0),)), pictures, reject=0.2).rules[0]
    assert (both.min, both.max) == (10, 89)


@pytest.mark.parametrize("reject", [0.02, 0.1, 0.5])
def test_all_rules_together_refuse_no_more_and_hardly_less(reject: float, rng: np.random.Generator) -> None:
    pictures: list[Values] = [{"score": s, "noise": n, "yaw": y} for s, n, y in rng.normal(size=(500, 3)).tolist()]
    rules = (Rule("score", min=0), Rule("noise", min=0), Rule("yaw", min=0, max=0))
    share = refused(propose(Policy("p", rules), pictures, reject=reject), pictures)
    assert reject - 0.015 <= share <= reject


def test_rounding_refuses_nothing_more(rng: np.random.Generator) -> None:
    values = rng.normal(size=200).tolist()
    pictures: list[Values] = [{"score": v} for v in values]
    limit = propose(Policy("p", (Rule("score", min=0),)), pictures, reject=0.25).rules[0].min
    assert limit is not None and limit <= sorted(values)[50] and f"{limit:g}" == str(limit)
    assert refused(Policy("p", (Rule("score", min=limit),)), pictures) <= 0.25


def test_equal_values_are_kept_together() -> None:
    pictures: list[Values] = [{"score": 5.0}] * 80 + [{"score": 9.0}] * 20
    assert propose(Policy("p", (Rule("score", min=0),)), pictures, reject=0.5).rules[0].min == 5


def test_unknown_values_do_not_count_unless_they_are_required() -> None:
    pictures: list[Values] = [{"score": float(i), "yaw": None if i < 50 else float(i)} for i in range(100)]
    found = propose(Policy("p", (Rule("yaw", min=0),)), pictures, reject=0.1)
    assert refused(found, pictures) <= 0.1
    assert found.rules[0].min == 60  # 10 of all 100, taken from the 50 that are known
    with pytest.raises(UsageError, match=r"50\.0 % are refused whatever the limits"):
        propose(Policy("p", (Rule("yaw", min=0, required=True),)), pictures, reject=0.1)


def test_the_number_of_faces_is_asked_for_and_not_estimated() -> None:
    rules = (Rule("n_faces", min=1, max=1, required=True, source="one"), Rule("score", min=0))
    pictures: list[Values] = [{"n_faces": 1.0, "score": float(i)} for i in range(50)]
    pictures += [{"n_faces": 3.0, "score": 0.0}] * 50
    found = propose(Policy("p", rules), pictures, reject=0.1)
    assert found.rules[0] == rules[0]
    assert found.rules[1].min == 5
    assert found.rules[1].source.endswith("refuse 10.0 % of 50 pictures, and all of 50 with another number of faces")


def test_what_cannot_be_calibrated_is_said() -> None:
    rules = Policy("p", (Rule("score", min=0), Rule("yaw", min=0)))
    with pytest.raises(UsageError, match=r"--reject 10 is no share"):
        propose(rules, [], reject=10)
    with pytest.raises(UsageError, match="thresholds from 9 usable pictures mean nothing: 10 at least"):
        propose(rules, [{"score": 1.0}] * 9, reject=0.1)
    with pytest.raises(UsageError, match="yaw is unknown in all 20 pictures"):
        propose(rules, [{"score": 1.0}] * 20, reject=0.1)
