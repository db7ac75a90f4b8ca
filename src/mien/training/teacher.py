"""Stage 3: the teacher, fine-tuned. A MobileNetV2 with ImageNet knowledge and a small network on all that it sees.

L = 10 MSE(q, y) + PLCC loss(q, y)     on plain views with the opinion of their picture
  + ranking_weight x ladder hinge(q)   a stronger degradation may not score higher

Afterwards it judges every view that the student is shown, and says what it saw: the principal components of its pooled
features, and its maps at three strides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from mien.losses.ranking import margin_ranking
from mien.losses.regression import plcc_loss
from mien.models.mobilenet_v2 import FEATURES, MobileNetV2, pooled
from mien.training.chance import seed_of
from mien.training.ema import averaged, network
from mien.training.feed import Feed, FeedPlan, Shown
from mien.training.ladders import GROUP
from mien.training.schedule import Cosine, Moment, set_rate

#: which maps the student learns, the last ones at strides 8, 16 and 32, and their channels
MAPS, CHANNELS = (5, 12, 16), (32, 96, 320)


@dataclass(frozen=True)
class TeacherRecipe:
    """How the teacher is fine-tuned."""

    views: FeedPlan = field(default_factory=lambda: FeedPlan(plain=192, ladders=32, unrated_share=0.0, smallest=0.4))
    hidden: int = 256
    dropout: float = 0.5
    probe_steps: int = 300  #: first, in which only the head learns
    head_rate: float = 2e-4  #: in them
    steps: int = 1200  #: then, in which all of it learns
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    warmup: float = 0.1  #: part of all steps
    ema: float = 0.998
    lead: float = 0.5  #: see `ladder_loss`
    ranking_weight: float = 1.0
    distilled: int = 192  #: principal components of the features that the student learns
    measured: int = 60  #: steps' worth of views that the components rest on
    seed: int = 1


class Told(NamedTuple):
    """What the teacher says of n views."""

    quality: Tensor  #: (n,) on the scale of the opinions
    components: Tensor  #: (n, k)
    maps: tuple[Tensor, ...]  #: (n, c, h, w) each, mean 0 and deviation 1 over views


class Teacher(nn.Module):
    """See the head of this file."""

    def __init__(self, recipe: TeacherRecipe, *, half: bool = False) -> None:
        """Build with random weights.

        Args:
            recipe: sizes.
            half: see in bfloat16; what is read from it stays float32.
        """
        super().__init__()
        self.in_half = half
        self.eyes = MobileNetV2()
        self.norm = nn.BatchNorm1d(FEATURES, affine=False)
        self.head = nn.Sequential(
            nn.Dropout(recipe.dropout / 2),
            nn.Linear(FEATURES, recipe.hidden),
            nn.ReLU(),
            nn.Dropout(recipe.dropout),
            nn.Linear(recipe.hidden, 1),
        )
        last = cast("nn.Linear", self.head[-1])
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, 0.5)
        self.components = nn.Buffer(torch.zeros(FEATURES, recipe.distilled))
        self.map_mean, self.map_deviation = nn.Buffer(torch.zeros(sum(CHANNELS))), nn.Buffer(torch.ones(sum(CHANNELS)))

    def forward(self, image: Tensor) -> Tensor:
        """(n, s, s, 3) of 0..255 -> (n,) quality."""
        return self._judge(self._standard(self._look(image)))

    def tell(self, image: Tensor) -> Told:
        """(n, s, s, 3) of 0..255 -> all that the student learns."""
        maps = self._look(image)
        features = self._standard(maps)
        statistics = zip(self.map_mean.split(CHANNELS), self.map_deviation.split(CHANNELS), strict=True)
        seen = tuple(
            (maps[block].float() - mean[:, None, None]) / deviation[:, None, None]
            for block, (mean, deviation) in zip(MAPS, statistics, strict=True)
        )
        return Told(self._judge(features), features @ self.components, seen)

    def measure(self, images: list[Tensor]) -> None:
        """Find the principal components, and the statistics of the maps, over batches of views."""
        features, moments = [], [torch.zeros(2, c, dtype=torch.float64, device=images[0].device) for c in CHANNELS]
        for image in images:
            maps = self._look(image)
            features.append(self._standard(maps))
            for sums, block in zip(moments, MAPS, strict=True):
                x = maps[block].double()
                sums += torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))]) / len(images)
        self.components.copy_(principal(torch.cat(features), self.components.shape[1]))
        mean, square = torch.cat(moments, dim=1)
        self.map_mean.copy_(mean)
        self.map_deviation.copy_((square - mean.square()).clamp(min=0).sqrt() + 1e-6)

    def _look(self, image: Tensor) -> list[Tensor]:
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.in_half):
            return cast("list[Tensor]", self.eyes(_scaled(image)))

    def _standard(self, maps: list[Tensor]) -> Tensor:
        return cast("Tensor", self.norm(pooled(maps))).clamp(-6, 6)

    def _judge(self, features: Tensor) -> Tensor:
        return cast("Tensor", self.head(features)).squeeze(1)


def fit(
    feed: Feed,
    weights: Path,
    recipe: TeacherRecipe,
    *,
    half: bool,
    tell: Callable[[str], None] = print,
) -> Teacher:
    """Fine-tune.

    Args:
        feed: of pictures with opinions, and their ladders.
        weights: as for `MobileNetV2.begin`, which see for errors.
        recipe: sizes and steps.
        half: compute in bfloat16 where that is safe.
        tell: receives a line for people now and then.

    Returns:
        The average of the weights over the last steps (EMA), in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    net = Teacher(recipe, half=half).to(feed.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.eyes.begin(weights, _scaled(feed.show(recipe.views, seed_of(recipe.seed, 0)).pixels))
    average = averaged(net, recipe.ema)
    _learn(net, net.head, feed, recipe, range(recipe.probe_steps), recipe.head_rate, average, tell)
    last = recipe.probe_steps + recipe.steps
    _learn(net, net, feed, recipe, range(recipe.probe_steps, last), recipe.learning_rate, average, tell)
    net = network(average, Teacher)
    with torch.no_grad():
        net.measure([feed.show(recipe.views, _seed(recipe, last + k)).pixels for k in range(recipe.measured)])
    return net


def _learn(
    net: Teacher,
    part: nn.Module,
    feed: Feed,
    recipe: TeacherRecipe,
    steps: range,
    peak: float,
    average: AveragedModel,
    tell: Callable[[str], None],
) -> None:
    """One warmed-up cosine of training of one part of the network; the rest stays as it is."""
    net.requires_grad_(False)
    part.requires_grad_(True)
    net.eval()
    part.train()
    net.norm.train()  # its statistics are not learned but counted
    optimizer = torch.optim.AdamW(part.parameters(), peak, weight_decay=recipe.weight_decay)
    rate = Cosine(recipe.warmup)
    for k, step in enumerate(steps):
        set_rate(optimizer, peak * rate(Moment(k, len(steps), len(steps))))
        shown = feed.show(recipe.views, _seed(recipe, step))
        terms = _losses(net(shown.pixels), shown, recipe)
        optimizer.zero_grad()
        terms.sum().backward()
        torch.nn.utils.clip_grad_norm_(part.parameters(), 5.0)
        optimizer.step()
        average.update_parameters(net)
        if (k + 1) % max(1, len(steps) // 5) == 0:
            tell(f"teacher, step {k + 1}/{len(steps)}: mse, plcc, ladders {[round(v, 4) for v in terms.tolist()]}")


def _seed(recipe: TeacherRecipe, step: int) -> int:
    return seed_of(recipe.seed, 1, step)


def falling(quality: Tensor, strength: Tensor, lead: float) -> Tensor:
    """Scores of ladders made to fall as `ladder_loss` wants it: no student learns otherwise.

    Args:
        quality: (n,) of views in groups of `GROUP`.
        strength: (n,) largest loss of any attribute, rising inside each group.
        lead: as in `ladder_loss`.

    Returns:
        (n,); a score only ever goes down.
    """
    q, s = grouped(quality), grouped(strength)
    unit = lead * q[:, 0].clamp(min=0.1)
    rungs = [q[:, 0]]
    for rung in range(1, GROUP):
        rungs.append(torch.minimum(q[:, rung], rungs[-1] - unit * (s[:, rung] - s[:, rung - 1])))
    return torch.stack(rungs, 1).flatten()


def ladder_loss(quality: Tensor, strength: Tensor, lead: float) -> Tensor:
    """Hinges inside ladders: each rung leads the next by `lead` x the difference in strength x the top rung's score.

    Args:
        quality: (g, 3) scores, undegraded first, strongest last.
        strength: (g, 3) rising.
        lead: see above.

    Returns:
        () float.
    """
    if len(quality) == 0:
        return quality.sum()
    unit = lead * quality[:, :1].detach().clamp(min=0.1)
    better, worse = quality[:, [0, 1, 0]], quality[:, [1, 2, 2]]
    apart = strength[:, [1, 2, 2]] - strength[:, [0, 1, 0]]
    return margin_ranking(better, worse, unit * apart)


def grouped(values: Tensor) -> Tensor:
    """(3 g,) of views in ladders -> (g, 3)."""
    return values.view(len(values) // GROUP, GROUP)


def principal(x: Tensor, count: int) -> Tensor:
    """(n, d) standardised features -> (d, count) their principal axes, scaled to unit variance on average."""
    n, d = x.shape
    if n > d:
        values, axes = torch.linalg.eigh(x.T @ x / n)
    else:  # the same axes from the smaller matrix
        values, views = torch.linalg.eigh(x @ x.T / n)
        axes = F.normalize(x.T @ views, dim=0)
    top = values.argsort(descending=True)[:count]
    spread = values[top].clamp(min=1e-6) ** 0.25  # half-way to whitening: strong directions count more, weak ones too
    return axes[:, top] / spread / spread.square().mean().sqrt()


def _losses(quality: Tensor, shown: Shown, recipe: TeacherRecipe) -> Tensor:
    """(3,) see the head of this file."""
    asked = shown.label[: shown.plain].isfinite()
    q, y = quality[: shown.plain][asked], shown.label[: shown.plain][asked]
    rungs, strength = grouped(quality[shown.plain :]), grouped(shown.lost[shown.plain :].amax(1))
    hinge = recipe.ranking_weight * ladder_loss(rungs, strength, recipe.lead)
    return torch.stack([10 * (q - y).square().mean(), plcc_loss(q, y), hinge])


def _scaled(image: Tensor) -> Tensor:
    return (image.permute(0, 3, 1, 2).float() - 128) / 128
