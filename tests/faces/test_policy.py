"""Policies: what passes, what fails with which sentence, what is unknown; every mistake in a file is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mien.core.errors import UsageError
from mien.core.types import COLUMNS
from mien.faces.measures import MEASURES
from mien.faces.ofiq import component_value
from mien.faces.policy import FACE, PICTURE, Policy, Rule, decide, names, parse_policy, read_policy, to_toml


def policy(*rules: Rule) -> Policy:
    return Policy("test", rules)


# ---- the verdict


def test_limits_themselves_pass() -> None:
    rules = policy(Rule("score", min=50), Rule("yaw", min=-15, max=15))
    for score, yaw, passed in ((50, -15, True), (50, 15, True), (49.999, 0, False), (80, 15.001, False)):
        assert decide(rules, {"score": score, "yaw": yaw}).passed is passed


def test_every_rule_that_is_not_kept_is_a_reason_in_order() -> None:
    rules = policy(Rule("inter_eye_px", min=90), Rule("score", min=50), Rule("over_exposed", max=0.01))
    verdict = decide(rules, {"score": 12.0, "inter_eye_px": 43.25, "over_exposed": 0.2})
    assert not verdict.passed
    assert [(r.quantity, r.value, r.min, r.max) for r in verdict.reasons] == [
        ("inter_eye_px", 43.25, 90, None),
        ("score", 12.0, 50, None),
        ("over_exposed", 0.2, None, 0.01),
    ]
    assert verdict.reasons[0].sentence == (
        "inter_eye_px 43.25 px, wanted at least 90 (distance between the eyes, over the cosine of yaw)"
    )
    assert verdict.reasons[2].sentence == "over_exposed 0.2, wanted at most 0.01 (burnt out part of the face)"


def test_both_limits_in_one_sentence() -> None:
    (reason,) = decide(policy(Rule("yaw", min=-15, max=15)), {"yaw": 31.0}).reasons
    assert reason.sentence == "yaw 31 degrees, wanted -15 to 15 (turned to a side)"


def test_a_number_is_never_shown_as_its_limit() -> None:
    (near,) = decide(policy(Rule("score", min=50)), {"score": 49.99999}).reasons
    (many,) = decide(policy(Rule("n_faces", min=1, max=1)), {"n_faces": 2.0}).reasons
    assert many.sentence.startswith("n_faces 2, wanted exactly 1 ")
    assert near.sentence.startswith("score 49.99999, wanted at least 50 ")
    (large,) = decide(policy(Rule("width", max=12000)), {"width": 12345}).reasons
    assert large.sentence.startswith("width 12345 px, wanted at most 12000 ")


def test_what_is_unknown_neither_passes_nor_fails_unless_it_is_required() -> None:
    optional = decide(policy(Rule("score", min=50), Rule("eyes_covered", max=0.1)), {"score": 60.0})
    assert optional.passed and optional.unknown == ("eyes_covered",)
    required = decide(policy(Rule("eyes_covered", max=0.1, required=True)), {"eyes_covered": None})
    assert not required.passed and required.unknown == ()
    assert required.reasons[0].value is None
    assert required.reasons[0].sentence == "eyes_covered cannot be told and is required"


def test_a_minimum_takes_the_place_of_the_policys_own() -> None:
    rules = policy(Rule("score", min=80), Rule("noise", min=20)).with_minimum(30)
    assert decide(rules, {"score": 31.0, "noise": 50.0}).passed
    assert not decide(rules, {"score": 29.0, "noise": 50.0}).passed
    assert not decide(rules, {"noise": 50.0}).passed  # a minimum is required


def test_a_policy_knows_whether_it_needs_faces() -> None:
    assert not policy(Rule("score", min=1), Rule("width", min=1)).needs_faces
    assert policy(Rule("yaw", max=1)).needs_faces
    assert policy(Rule("HeadPoseYaw", min=50)).needs_faces


def test_a_rule_about_a_face_wants_a_face() -> None:
    wanted = policy(Rule("yaw", max=10)).with_a_face()
    (reason,) = decide(wanted, {"n_faces": 0.0}).reasons
    assert reason.sentence == "n_faces 0, wanted at least 1 (faces in the picture)"
    for unchanged in (policy(Rule("score", min=1)), policy(Rule("yaw", max=10), Rule("n_faces", max=3))):
        assert unchanged.with_a_face() is unchanged


def test_quantities_are_columns_measures_and_components() -> None:
    assert PICTURE.keys() <= set(COLUMNS)
    assert MEASURES.keys() <= FACE.keys()
    assert {"InterEyeDistance", "IlluminationUniformity"} <= FACE.keys()
    assert not PICTURE.keys() & FACE.keys()


# ---- the file


def test_a_policy_is_what_its_file_says() -> None:
    found = parse_policy(
        'name = "mine"\ndescription = "d"\n[rules.score]\nmin = 50\nsource = "s"\n[rules.yaw]\nmin = -9.5\nmax = 10\n'
        "required = true\n"
    )
    assert found == Policy("mine", (Rule("score", 50.0, None, False, "s"), Rule("yaw", -9.5, 10.0, True)), "d")


def test_a_file_without_a_name_has_that_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text("[rules.score]\nmin = 90\n")
    assert read_policy(str(tmp_path / "strict.toml")).name == "strict"


def test_what_is_written_is_read_back() -> None:
    rules = (
        Rule("score", min=12.3456789, max=1e-7 + 50, source='"quoted" \\ und ümlaut\nline\x7f'),
        Rule("eyes_covered", required=True),
    )
    original = Policy('a "name"', rules, "text")
    assert parse_policy(to_toml(original)) == original


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules = [", "P is not TOML: "),
        ('name = "x"', r"P has no rules: write for example \[rules.score\]"),
        ("[rules]", "P has no rules"),
        ("[rule.score]\nmin = 1", "P: unknown key 'rule'; did you mean rules?"),
        (
            "[rules.sharpnes]\nmin = 1",
            r"P, \[rules.sharpnes\]: there is no quantity 'sharpnes'; did you mean sharpness",
        ),
        ("[rules.zzz]\nmin = 1", "there is no quantity 'zzz'; known are score, "),
        ("[rules.score]\nminimum = 1", r"P, \[rules.score\]: unknown key 'minimum'; did you mean min"),
        ("[rules]\nscore = 50", r"P: rules.score is 50; write \[rules.score\] and under it min or max"),
        ('[rules.score]\nmin = "50"', "min is a number, not '50'"),
        ("[rules.score]\nmin = true", "min is a number, not True"),
        ("[rules.score]\nmax = nan", "max is a number, not nan"),
        ("[rules.score]\nmin = 60\nmax = 50", "min 60 is above max 50, nothing can pass"),
        ('[rules.score]\nsource = "s"', r"P, \[rules.score\] asks for nothing: give min, max or required = true"),
        ("[rules.score]\nmin = 1\nrequired = 1", "required is true or false, not 1"),
        ("[rules.score]\nmin = 1\nsource = 1", "source is a text, not 1"),
        ("name = 1\n[rules.score]\nmin = 1", "P: name is a text, not 1"),
    ],
)
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_policy(text, where="P")


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no policy 'pasport': it is no file, and the profiles are avatar, passport, "):
        read_policy("pasport")
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match=r"cannot read the policy .*x\.toml: "):
        read_policy(str(tmp_path / "x.toml"))
    with pytest.raises(UsageError, match=r"cannot read the policy .*: Is a directory"):
        read_policy(str(tmp_path))


# ---- the profiles


def test_the_profiles() -> None:
    assert names() == ["avatar", "passport", "training-data"]


@pytest.mark.parametrize("name", names())
def test_a_profile_says_where_every_number_comes_from(name: str) -> None:
    found = read_policy(name)
    assert found.name == name and found.description
    assert all(rule.source for rule in found.rules)
    assert "n_faces" in {rule.quantity for rule in found.rules}


CLAIMS = [
    (name, rule.quantity, limit, int(claimed))
    for name in names()
    for rule in read_policy(name).rules
    for limit, claimed in (
        [(rule.max if rule.max is not None else rule.min, 50)] * bool(re.search(r"(^|: )OFIQ's 50", rule.source))
        + [(rule.max if rule.max is not None else rule.min, c) for c in re.findall(r"mapping gives (\d+)", rule.source)]
    )
]


@pytest.mark.parametrize(("name", "quantity", "limit", "claimed"), CLAIMS)
def test_what_a_profile_says_of_ofiq_is_true(name: str, quantity: str, limit: float, claimed: int) -> None:
    assert component_value(MEASURES[quantity].component, limit) == claimed


def test_there_are_such_claims() -> None:
    assert len(CLAIMS) >= 10
