"""The student: reasons follow known strengths, a killed run ends where an uninterrupted one does, ONNX equals torch."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from mien.losses.attributes import attribute_loss  # noqa: E402
from mien.models.judge_net import JudgeNet  # noqa: E402
from mien.training import student  # noqa: E402
from mien.training.export import export  # noqa: E402
from mien.training.eyes import CHANNELS, STRIDES, standard  # noqa: E402
from mien.training.student import Lesson, StudentRecipe  # noqa: E402
from mien.training.views import Views  # noqa: E402

RECIPE = StudentRecipe(epochs=2, batch_groups=4)


def lesson(groups: int = 12) -> Lesson:
    rng = np.random.default_rng(0)
    n = 3 * groups
    lost = np.zeros((n, 4), np.float32)
    lost[1::3, 0], lost[2::3, 0] = 0.3, 0.8
    label = np.repeat(rng.uniform(0.3, 0.9, groups), 3).astype(np.float32)
    pixels = rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    views = Views(pixels, np.repeat(np.arange(groups, dtype=np.int32), 3), label, lost)
    maps = tuple(
        rng.integers(0, 256, (n, 32 // stride, 32 // stride, c), dtype=np.uint8)
        for stride, c in zip(STRIDES, CHANNELS, strict=True)
    )
    return Lesson(views, label - 0.3 * lost[:, 0], rng.normal(size=(n, 6)).astype(np.float16), maps)


def train(work, recipe=RECIPE):
    work.mkdir(exist_ok=True)
    return student.fit([lesson()], recipe, work, validate=lambda net: {})


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


@pytest.mark.parametrize(
    ("price", "change"), [("rounding_weight", student._rounded), ("mirror_weight", student._mirrored)]
)
def test_the_closing_regression_pays_for_steadiness(tmp_path, price, change):
    net = train(tmp_path)
    pixels = lesson().views.pixels
    changed = change(pixels, np.random.default_rng(5))

    def moved(recipe):
        student.refit_quality(net, [lesson()], recipe)
        return float((student.predict(net, pixels).quality - student.predict(net, changed).quality).abs().mean())

    loose = replace(RECIPE, ridge=1e-3, steady_every=1)
    assert moved(replace(loose, **{price: 1e6})) < 0.7 * moved(loose)


def test_rounding_changes_single_grey_levels():
    pixels = np.full((2, 64, 64, 3), 128, np.uint8)
    change = student._rounded(pixels, np.random.default_rng(0)).astype(int) - 128
    assert 0 < np.abs(change).mean() < 1
    assert np.abs(change).max() <= 4


def test_a_run_that_was_killed_after_an_epoch_ends_with_the_same_weights(tmp_path):
    whole = train(tmp_path / "whole").state_dict()

    class KilledError(Exception):
        pass

    def killed(net):
        raise KilledError

    (tmp_path / "killed").mkdir()
    first = replace(RECIPE)
    calls = []
    with pytest.raises(KilledError):
        student.fit(
            [lesson()],
            first,
            tmp_path / "killed",
            validate=lambda net: calls.append(1) or (killed(net) if len(calls) == 2 else {}),
        )
    resumed = train(tmp_path / "killed").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_window_is_the_same_part_of_the_view_and_of_its_maps():
    """Each map's places hold their own position, so a window of them says where it was cut."""
    seen = lesson(4)
    n = len(seen.views.pixels)
    places = np.arange(64, dtype=np.uint8)
    pixels = np.broadcast_to(places[:, None, None] * 2, (n, 64, 64, 3))
    maps = tuple(
        np.broadcast_to((places[: 64 // s] * s * 2)[:, None, None], (n, 64 // s, 64 // s, c))
        for s, c in zip(STRIDES, CHANNELS, strict=True)
    )
    views = replace(seen.views, pixels=np.ascontiguousarray(pixels))
    recipe = replace(RECIPE, window_epochs=1, window_px=32)
    tops = set()
    for batch in student._batches([replace(seen, views=views, maps=maps)], recipe, epoch=0):
        assert batch.pixels.shape[1:3] == (32, 32)
        assert [tuple(m.shape[1:3]) for m in batch.maps] == [(32 // s, 32 // s) for s in STRIDES]
        tops |= {int(row) for row in batch.pixels[:, 0, 0, 0]}
        for m in batch.maps:
            assert torch.equal(m[:, 0, 0, 0], batch.pixels[:, 0, 0, 0])
    assert tops <= {0, 64}
    whole = next(student._batches([replace(seen, views=views, maps=maps)], recipe, epoch=1))
    assert whole.pixels.shape[1:3] == (64, 64)


def test_shaking_moves_grey_levels_by_little_and_mirrors_some_views(rng):
    pixels = np.full((40, 8, 8, 3), 100, np.uint8)
    pixels[:, :, :4] = 200
    changed = student.shaken(pixels, np.random.default_rng(0)).astype(int)
    mirrored = changed[:, 0, 0, 0] < 150
    assert 8 <= mirrored.sum() <= 32
    changed[mirrored] = changed[mirrored][:, :, ::-1]
    step = np.abs(changed - pixels)
    assert step.max() <= 4
    assert 0.3 < (step > 0).mean() < 0.7
    assert np.array_equal(
        student.shaken(pixels, np.random.default_rng(7)), student.shaken(pixels, np.random.default_rng(7))
    )


def test_sight_is_perfect_when_the_maps_hold_what_the_eyes_saw():
    torch.manual_seed(0)
    sight = student.Sight((8, *CHANNELS)).requires_grad_(False)
    stored = [torch.randint(0, 256, (2, 4, 4, c), dtype=torch.uint8) for c in CHANNELS]
    for tell, c in zip(sight.tell, CHANNELS, strict=True):
        tell.weight.copy_(torch.eye(c)[:, :, None, None])
        tell.bias.zero_()
    told = [standard(m) for m in stored]
    assert float(sight([torch.zeros(2, 8, 8, 8), *told], stored)) == 0
    off = [told[0] + 0.5, told[1], told[2] - 1.0]
    assert float(sight([torch.zeros(2, 8, 8, 8), *off], stored)) == pytest.approx(0.25 + 1.0)


def test_refitting_the_last_layer_finds_the_least_squares_solution():
    torch.manual_seed(0)
    net = JudgeNet(stem=8, widths=(8, 16), depths=(1, 1), hidden=16, teacher_features=6).eval()
    seen, recipe = lesson(40), replace(RECIPE, ridge=1e-6, rated_weight=1.0, opinion_share=0.0)

    def error() -> float:
        return float((student.predict(net, seen.views.pixels).quality - torch.from_numpy(seen.quality)).square().sum())

    before = error()
    student.refit_quality(net, [seen], recipe)
    after = error()
    assert after < before
    for step in (0.05, -0.05):  # any other last layer is worse
        with torch.no_grad():
            net.quality.bias += step
        assert error() > after
        with torch.no_grad():
            net.quality.bias -= step


def test_every_epoch_leaves_a_line_of_metrics(tmp_path):
    train(tmp_path / "run")
    records = [json.loads(line) for line in (tmp_path / "run" / "student.jsonl").read_text().splitlines()]
    assert [r["epoch"] for r in records] == [1, 2]
    assert all(np.isfinite(r["loss_opinion"]) for r in records)


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


def test_the_network_sees_the_picture_as_a_whole_and_each_on_its_own():
    net = JudgeNet().eval()
    pixels = np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    together = student.predict(net, pixels).quality
    alone = torch.cat([student.predict(net, pixels[i : i + 1]).quality for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-5)
