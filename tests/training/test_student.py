"""The student: reasons follow known strengths, a killed run ends where an uninterrupted one does, ONNX equals torch."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from mien.core.errors import UsageError  # noqa: E402
from mien.losses.attributes import attribute_loss  # noqa: E402
from mien.models.judge_net import JudgeNet  # noqa: E402
from mien.training import student  # noqa: E402
from mien.training.export import export  # noqa: E402
from mien.training.feed import Feed, FeedPlan  # noqa: E402
from mien.training.ladders import Ladders  # noqa: E402
from mien.training.student import StudentRecipe  # noqa: E402
from mien.training.teacher import CHANNELS, Teacher, TeacherRecipe  # noqa: E402

VIEWS = FeedPlan(size_px=32, plain=12, ladders=4)
RECIPE = StudentRecipe(views=VIEWS, depths=(0, 0, 0, 0), epochs=2, steps=2, mixed=6, refit_steps=4)


@pytest.fixture(scope="module")
def feed():
    rng = np.random.default_rng(0)
    lost = np.zeros((10, 3, 4), np.float32)
    lost[:, 1, 0], lost[:, 2, 0] = 0.3, 0.8
    label = rng.uniform(0.3, 0.9, 20).astype(np.float32)
    ladders = Ladders(rng.integers(0, 256, (10, 3, 32, 32, 3), dtype=np.uint8), label[:10], lost)
    label[15:] = np.nan
    return Feed(rng.integers(0, 256, (20, 40, 40, 3), dtype=np.uint8), label, [ladders], torch.device("cpu"))


@pytest.fixture(scope="module")
def teacher():
    torch.manual_seed(3)
    net = Teacher(TeacherRecipe(hidden=4, distilled=6)).eval()
    torch.nn.init.normal_(net.head[-1].weight, std=0.1)  # it has opinions
    torch.nn.init.normal_(net.components, std=0.01)
    return net


def train(feed, teacher, work, recipe=RECIPE, **options):
    work.mkdir(exist_ok=True)
    options = {"validate": lambda net: {}, "tell": lambda line: None} | options
    return student.fit(feed, teacher, recipe, work, "key", **options)


def test_a_clean_picture_pulls_every_attribute_and_another_only_from_above():
    lost = torch.tensor([[0.6, 0.0, 0.0, 0.0]])
    predicted = torch.tensor([[0.5, 0.8, 1.0, 1.0]])
    clean = float(attribute_loss(predicted, lost, torch.tensor([True])))
    assert clean == pytest.approx((0.1**2 + 0.2**2) / 4)
    unknown = float(attribute_loss(predicted, lost, torch.tensor([False])))
    assert unknown == pytest.approx(0.1**2 / 4)
    below = torch.tensor([[0.3, 0.8, 1.0, 1.0]])
    assert float(attribute_loss(below, lost, torch.tensor([False]))) == 0


@pytest.mark.parametrize("name", student.OPINION_TERMS)
def test_an_opinion_term_falls_when_predictions_come_closer_and_has_a_gradient(name):
    target = torch.tensor([0.2, 0.5, 0.6, 0.9])
    far, near = torch.tensor([0.9, 0.2, 0.6, 0.5], requires_grad=True), target + torch.tensor([0.01, 0.0, -0.01, 0.02])
    loss = student.OPINION_TERMS[name](far, target)
    loss.backward()
    assert loss.item() > float(student.OPINION_TERMS[name](near, target)) >= 0
    assert far.grad is not None and far.grad.abs().max() > 1e-3


def test_the_target_is_the_opinion_where_people_saw_the_whole_and_the_teachers_elsewhere(feed, teacher):
    own = student._lesson(feed, teacher, replace(RECIPE, opinion_share=1.0), 5)
    shown = own.shown
    assert shown.rated.any()
    assert torch.equal(own.target[: len(shown.rated)][shown.rated], shown.label[shown.rated])
    others = student._lesson(feed, teacher, replace(RECIPE, opinion_share=0.0), 5)
    assert torch.equal(others.target[: shown.plain], others.told.quality[: shown.plain])
    n = len(shown.label)
    assert torch.equal(own.target[n:], own.told.quality[n:])  # mixtures
    ladder = own.target[shown.plain : n].view(-1, 3)
    assert (ladder[:, 0] > ladder[:, 1]).all()
    assert (ladder[:, 1] > ladder[:, 2]).all()


def test_another_seed_sees_other_views(feed, teacher):
    one, other = (student._lesson(feed, teacher, replace(RECIPE, seed=seed), 5) for seed in (1, 2))
    assert not torch.equal(one.shown.pixels, other.shown.pixels)
    assert not torch.equal(one.again, other.again)


def test_half_of_the_mixtures_are_means_and_the_others_have_a_rectangle_of_another_view():
    pixels = torch.arange(6.0)[:, None, None, None].expand(6, 20, 20, 3) * 40
    mixed = student.mixtures(pixels, 40, torch.Generator().manual_seed(0))
    flat = mixed.flatten(1)
    assert (flat[::2].amax(1) == flat[::2].amin(1)).all()
    for view in mixed[1::2]:
        levels = set(view.flatten().tolist())
        assert len(levels) <= 2
        assert levels <= {0.0, 40.0, 80.0, 120.0, 160.0, 200.0}
    assert any(view.std() > 0 for view in mixed[1::2])
    assert len(student.mixtures(pixels, 0, torch.Generator())) == 0


@pytest.mark.parametrize("weight", ["rounding_weight", "mirror_weight"])
def test_the_closing_regression_pays_for_steadiness(feed, teacher, tmp_path, weight):
    net = train(feed, teacher, tmp_path)
    pixels = feed.show(VIEWS, 99).pixels
    changed = pixels.flip(2) if weight == "mirror_weight" else student.rounded(pixels, torch.Generator().manual_seed(5))

    def moved(recipe):
        student.refit_quality(net, feed, teacher, recipe)
        with torch.no_grad():
            return float((net(pixels).quality - net(changed).quality).abs().mean())

    still = {"rounding_weight": 0.0, "mirror_weight": 0.0}
    loose = replace(RECIPE, ridge=1e-3, steady_every=1, refit_steps=16, **still)
    assert moved(replace(loose, **{weight: 1e8})) < 0.7 * moved(loose)


def test_rounding_changes_single_grey_levels():
    pixels = torch.full((2, 64, 64, 3), 128.0)
    change = student.rounded(pixels, torch.Generator().manual_seed(0)) - 128
    assert 0 < change.abs().mean() < 1
    assert change.abs().max() <= 4
    assert torch.equal(change, change.round())


def test_shaking_moves_grey_levels_by_little_and_mirrors_some_views():
    pixels = torch.full((40, 8, 8, 3), 100.0)
    pixels[:, :, :4] = 200
    changed = student.shaken(pixels, torch.Generator().manual_seed(0))
    mirrored = changed[:, 0, 0, 0] < 150
    assert 8 <= mirrored.sum() <= 32
    changed[mirrored] = changed[mirrored].flip(2)
    step = (changed - pixels).abs()
    assert step.max() <= 4
    assert 0.3 < (step > 0).float().mean() < 0.7
    again = [student.shaken(pixels, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert torch.equal(*again)


def test_a_run_that_was_killed_after_an_epoch_ends_with_the_same_weights(feed, teacher, tmp_path):
    whole = train(feed, teacher, tmp_path / "whole").state_dict()

    class KilledError(Exception):
        pass

    def killed(net):
        calls.append(1)
        if len(calls) == 2:
            raise KilledError
        return {}

    calls = []
    with pytest.raises(KilledError):
        train(feed, teacher, tmp_path / "killed", validate=killed)
    resumed = train(feed, teacher, tmp_path / "killed").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_checkpoint_of_another_run_is_refused(feed, teacher, tmp_path):
    train(feed, teacher, tmp_path)
    with pytest.raises(UsageError, match="another recipe"):
        student.fit(feed, teacher, RECIPE, tmp_path, "other", validate=lambda net: {})


def test_sight_is_perfect_when_the_maps_hold_what_the_teacher_saw():
    torch.manual_seed(0)
    sight = student.Sight((8, *CHANNELS)).requires_grad_(False)
    seen = [torch.randn(2, c, 4, 4) for c in CHANNELS]
    for tell, c in zip(sight.tell, CHANNELS, strict=True):
        tell.weight.copy_(torch.eye(c)[:, :, None, None])
        tell.bias.zero_()
    assert float(sight([torch.zeros(2, 8, 8, 8), *seen], seen)) == pytest.approx(0, abs=1e-10)
    off = [seen[0] + 0.5, seen[1], seen[2] - 1.0]
    assert float(sight([torch.zeros(2, 8, 8, 8), *off], seen)) == pytest.approx(0.25 + 1.0, rel=1e-4)


def test_refitting_the_last_layer_finds_the_least_squares_solution(feed, teacher):
    torch.manual_seed(0)
    net = JudgeNet(stem=8, widths=(8, 16, 16), depths=(0, 0, 0), hidden=8, teacher_features=6).eval()
    recipe = replace(
        RECIPE, ridge=1e-6, rated_weight=1.0, opinion_share=0.0, rounding_weight=0.0, mirror_weight=0.0, epochs=0
    )

    def error() -> float:
        lessons = [student._lesson(feed, teacher, replace(recipe, mixed=0), step) for step in range(4)]
        with torch.no_grad():
            return sum(float((net(x.pixels).quality - x.target).square().sum()) for x in lessons)

    before = error()
    student.refit_quality(net, feed, teacher, recipe)
    after = error()
    assert after < before
    for part in (net.quality.bias, net.quality.weight):  # any other last layer is worse
        for step in (0.05, -0.05):
            with torch.no_grad():
                part += step
            assert error() > after
            with torch.no_grad():
                part -= step


def test_levelling_moves_the_mean_and_nothing_else():
    net = JudgeNet(depths=(0, 0, 0, 0), teacher_features=8).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3), np.uint8)
    opinion = np.linspace(0.2, 0.9, 6)
    before = student.predict(net, pixels)
    student.level(net, pixels, opinion)
    after = student.predict(net, pixels)
    assert float(after.quality.mean()) == pytest.approx(opinion.mean(), abs=1e-6)
    assert np.allclose(np.diff(after.quality.numpy()), np.diff(before.quality.numpy()), atol=1e-6)
    assert torch.equal(after.spread, before.spread) and torch.equal(after.attributes, before.attributes)


def test_every_epoch_leaves_a_line_of_metrics(feed, teacher, tmp_path):
    train(feed, teacher, tmp_path, validate=lambda net: {"srcc_pooled": 0.5})
    records = [json.loads(line) for line in (tmp_path / "student.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records] == [1, 2]
    assert all(np.isfinite(r["loss_opinion"]) for r in records)
    assert records[-1]["srcc_pooled"] == 0.5


def test_the_exported_file_equals_the_network(tmp_path):
    torch.manual_seed(0)
    net = JudgeNet(stem=8, widths=(8, 16), depths=(1, 1), hidden=16, teacher_features=4).eval()
    export(net, tmp_path / "j.onnx", 32)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    quality, spread, attributes = onnxruntime.InferenceSession(tmp_path / "j.onnx").run(
        None, {"image": pixels.astype(np.float32)}
    )
    expected = student.predict(net, pixels)
    assert quality == pytest.approx(expected.quality.numpy(), abs=2e-3)  # weights are stored in half precision
    assert spread == pytest.approx(expected.spread.numpy(), abs=2e-3)
    assert attributes == pytest.approx(100 * expected.attributes.numpy(), abs=0.2)


def test_the_exported_spread_is_the_root_of_what_lies_in_the_range(tmp_path):
    torch.manual_seed(0)
    net = JudgeNet(stem=8, widths=(8, 16), depths=(0, 0), hidden=16, teacher_features=4).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    plain = student.predict(net, pixels).spread.numpy()
    low, high = np.quantile(plain, [0.3, 0.7])
    export(net, tmp_path / "j.onnx", 32, spread_range=(float(low), float(high)))
    (spread,) = onnxruntime.InferenceSession(tmp_path / "j.onnx").run(["spread"], {"image": pixels.astype(np.float32)})
    assert spread == pytest.approx(np.sqrt(np.clip(plain, low, high)), abs=2e-3)
    assert len(np.unique(spread)) < len(np.unique(plain))


def test_the_network_sees_the_picture_as_a_whole_and_each_on_its_own():
    net = JudgeNet().eval()
    pixels = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    together = student.predict(net, pixels).quality
    alone = torch.cat([student.predict(net, pixels[i : i + 1]).quality for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)
