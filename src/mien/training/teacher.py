"""Stage 3: the teacher. What the eyes saw of every view, pooled, and a small network on top that people taught.

People rated the pictures; nobody rated their degraded views. What the teacher knows of those comes from the order
inside each ladder: a stronger degradation may not score higher.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mien.losses.ranking import margin_ranking
from mien.losses.regression import plcc_loss
from mien.training.views import GROUP, Views


@dataclass(frozen=True)
class TeacherRecipe:
    """A two-layer regression on pooled features."""

    hidden: int = 256
    dropout: float = 0.5
    epochs: int = 12
    batch_groups: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    lead: float = 0.5  #: of the undegraded view at full strength, as a part of its own score
    ranking_weight: float = 1.0
    distilled: int = 192  #: principal components of the features that the student learns
    members: int = 3  #: heads with different seeds, averaged
    seed: int = 1


class Teacher(nn.Module):
    """Features -> quality, and -> the principal components that the student distils."""

    def __init__(self, mean: Tensor, scale: Tensor, components: Tensor, recipe: TeacherRecipe) -> None:
        super().__init__()
        self.mean, self.scale, self.components = nn.Buffer(mean), nn.Buffer(scale), nn.Buffer(components)
        self.members = nn.ModuleList(
            nn.Sequential(
                nn.Dropout(recipe.dropout / 2),
                nn.Linear(len(mean), recipe.hidden),
                nn.ReLU(),
                nn.Dropout(recipe.dropout),
                nn.Linear(recipe.hidden, 1),
            )
            for _ in range(recipe.members)
        )

    def forward(self, features: Tensor) -> Tensor:
        """(n, d) float -> (members, n) quality on the scale of the opinions."""
        x = self._standard(features)
        return torch.stack([member(x).squeeze(1) for member in self.members])

    def distilled(self, features: Tensor) -> Tensor:
        """(n, d) float -> (n, k) principal components, of unit variance on average."""
        return self._standard(features) @ self.components

    def _standard(self, features: Tensor) -> Tensor:
        return ((features - self.mean) / self.scale).clamp(-6, 6)


def fit(views: Views, features: npt.NDArray[np.float16], recipe: TeacherRecipe) -> Teacher:
    """Train on labelled pictures and their ladders.

    Args:
        views: of labelled pictures.
        features: (n, d), aligned with the views.
        recipe: sizes and steps.

    Returns:
        The teacher in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    teacher = Teacher(*_whitening(views, features, recipe), recipe)
    optimizer = torch.optim.AdamW(teacher.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * (views.groups // recipe.batch_groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, total_steps=steps)
    rng = np.random.default_rng(recipe.seed)
    for _ in range(recipe.epochs):
        order = rng.permutation(views.groups)
        for k in range(views.groups // recipe.batch_groups):
            groups = np.sort(order[k * recipe.batch_groups : (k + 1) * recipe.batch_groups])
            rows = (groups[:, None] * GROUP + np.arange(GROUP)).ravel()
            x = torch.from_numpy(features[rows].astype(np.float32))
            label, lost = torch.from_numpy(views.label[rows]), torch.from_numpy(views.lost[rows])
            loss = torch.stack([_member_loss(q, label, lost, recipe) for q in teacher(x)]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return teacher.eval()


def descending(
    quality: npt.NDArray[np.float32], strength: npt.NDArray[np.float32], lead: float
) -> npt.NDArray[np.float32]:
    """The teacher's scores with every ladder made to fall as `ladder_loss` wants it: no student learns otherwise.

    Args:
        quality: (n,) of views in groups of `GROUP`.
        strength: (n,) largest loss of any attribute; 0 in plain groups, rising in ladders.
        lead: as in `ladder_loss`.

    Returns:
        (n,); a score only ever goes down.
    """
    q, s = quality.reshape(-1, GROUP).copy(), strength.reshape(-1, GROUP)
    unit = lead * np.maximum(q[:, 0], 0.1)
    for rung in range(1, GROUP):
        apart = s[:, rung] - s[:, rung - 1]
        limit = q[:, rung - 1] - unit * apart
        q[:, rung] = np.where(apart > 0, np.minimum(q[:, rung], limit), q[:, rung])
    return q.ravel()


def judge(
    teacher: Teacher, features: npt.NDArray[np.float16]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float16]]:
    """Quality (n,) and distilled components (n, k) of views."""
    quality, components = [], []
    with torch.inference_mode():
        for i in range(0, len(features), 1024):
            x = torch.from_numpy(features[i : i + 1024].astype(np.float32))
            quality.append(teacher(x).mean(0).numpy())
            components.append(teacher.distilled(x).numpy().astype(np.float16))
    return np.concatenate(quality), np.concatenate(components)


def save(teacher: Teacher, path: Path) -> None:
    """Weights as .npz, no pickle."""
    np.savez(path, **{name: value.numpy() for name, value in teacher.state_dict().items()})


def load(path: Path, recipe: TeacherRecipe) -> Teacher:
    """What `save` wrote for the same recipe, in evaluation mode.

    Raises:
        RuntimeError: the file is of another recipe.
    """
    with np.load(path, allow_pickle=False) as file:
        state = {name: torch.from_numpy(file[name]) for name in file}
    teacher = Teacher(state["mean"], state["scale"], state["components"], recipe)
    teacher.load_state_dict(state)
    return teacher.eval()


def _member_loss(quality: Tensor, label: Tensor, lost: Tensor, recipe: TeacherRecipe) -> Tensor:
    total = lost.amax(1)
    plain = total == 0
    fit_loss = (quality[plain] - label[plain]).square().mean() * 10 + plcc_loss(quality[plain], label[plain])
    q, s = quality.view(-1, GROUP), total.view(-1, GROUP)
    ladder = s[:, 2] > 0
    return fit_loss + recipe.ranking_weight * ladder_loss(q[ladder], s[ladder], recipe.lead)


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


def _whitening(views: Views, features: npt.NDArray[np.float16], recipe: TeacherRecipe) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and scale of each feature, and the principal axes of the standardised ones, from every fourth view."""
    x = torch.from_numpy(features[::4].astype(np.float32))
    mean, scale = x.mean(0), x.std(0) + 1e-3
    x = ((x - mean) / scale).clamp(-6, 6)
    values, axes = torch.linalg.eigh(x.T @ x / len(x))
    top = values.argsort(descending=True)[: recipe.distilled]
    spread = values[top].clamp(min=1e-6) ** 0.25  # half-way to whitening: strong directions count more, weak ones too
    return mean, scale, axes[:, top] / spread / spread.square().mean().sqrt()
