"""FAST-VQA: quality of a video from fragments, raw little patches spliced together, and where they were torn apart.

Paper:    Wu et al., "FAST-VQA: Efficient End-to-end Video Quality Assessment with Fragment Sampling", ECCV 2022
Code:     written from the paper, spec and key names of VQAssessment/FAST-VQA-and-FasterVQA@9f264e4
Weights:  FAST_VQA_B_1_4.pth, FAST_VQA_M_1_4.pth; FAST_VQA_3D_1_1.pth (FasterVQA) has the network of B; licence unknown:
          ask the authors; trained on LSVQ, from weights of Kinetics-400
Input:    (n, 3, 32, 224, 224) float32 RGB, ImageNet statistics, `preprocess` below; n clips, 4 of one video
          (M: 16 frames of 128 x 128)
Output:   (n,) float32, raw and unbounded, on no scale of opinions; higher is better; with `rescale` in 0..1
Numbers:  PLCC of the README, B / M: LSVQ test 0.877 / 0.854, 1080p 0.814 / 0.773, LIVE-VQC 0.844 / 0.810, KoNViD-1k
          0.855 / 0.832 / ours: not measured, no weights here
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.clips import ClipView, EvenClips, VideoFragments, VideoPreprocess

Size = tuple[int, int, int]  #: time, height, width

WIDTH, DEPTHS, HEADS = 96, (2, 2, 6, 2), (3, 6, 12, 24)  # Swin-T
FULL: Size = (32, 224, 224)  #: of a clip whose windows have the size that they are named after


class Rescale(NamedTuple):
    """sigmoid((raw - mean) / std), the authors' way to a number in 0..1."""

    mean: float
    std: float


FAST_VQA = Rescale(-0.110198185, 0.04178565)
FAST_VQA_M = Rescale(0.023889644, 0.030781006)
FASTER_VQA = Rescale(0.14759505, 0.03613452)


class Windows(NamedTuple):
    """How the tokens of a map are cut into windows for one block, and which of them belong together."""

    size: Size
    shift: Size
    elastic: bool  #: see `VideoSwin`
    gate: Tensor | None  #: (windows, 1, N, N): cells between two tokens
    mask: Tensor | None  #: (windows, 1, N, N): -100 between tokens that the shift brought together


class WindowAttention(nn.Module):
    """Self-attention among the N tokens of a window, with a gated relative position bias.

    Two tokens of one fragment were neighbours in the video, two tokens of different fragments were not: the bias comes
    from the fragment table for the former, from the relative table for the latter.
    """

    relative_position_index: Tensor

    def __init__(self, width: int, heads: int, window: Size, *, gated: bool) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.empty(rows, heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        if gated:
            # the authors start it as a copy of the other one
            self.fragment_position_bias_table = nn.Parameter(self.relative_position_bias_table.detach().clone())
        self.register_buffer("relative_position_index", _position_index(window))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """(n * windows, N, width) -> the same."""
        n_tokens, width = int(x.shape[1]), int(x.shape[2])
        qkv = self.qkv(x).reshape(-1, n_tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        bias = self._bias(windows)
        if windows.mask is not None:
            bias = bias + windows.mask
        scores = (q * (width // self.heads) ** -0.5) @ k.transpose(2, 3)
        scores = (scores.reshape(-1, *bias.shape) + bias).reshape(-1, self.heads, n_tokens, n_tokens)
        return self.proj((scores.softmax(3) @ v).transpose(1, 2).reshape(-1, n_tokens, width))

    def _bias(self, windows: Windows) -> Tensor:
        """(1 or windows, heads, N, N)."""
        t, h, w = windows.size
        n_tokens = t * h * w
        if windows.elastic:
            index = self.relative_position_index.reshape(*self.window, *self.window)
            index = index[:t, :h, :w, :t, :h, :w].reshape(n_tokens, n_tokens)
        else:  # official quirk: a window that was cut takes the distances of the first N tokens of a full one
            index = self.relative_position_index[:n_tokens, :n_tokens]
        across = self.relative_position_bias_table[index].permute(2, 0, 1).unsqueeze(0)
        if windows.gate is None:
            return across
        within = self.fragment_position_bias_table[index].permute(2, 0, 1).unsqueeze(0)
        # official quirk: the gate counts cells, so it goes beyond 1
        return across * windows.gate + within * (1 - windows.gate)


class Mlp(nn.Module):
    """Linear, GELU, linear; four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same."""
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """Attention in windows, then an MLP, each behind a normalisation and beside a shortcut."""

    def __init__(self, width: int, heads: int, window: Size, *, gated: bool) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = WindowAttention(width, heads, window, gated=gated)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, windows: Windows) -> Tensor:
        """(n, t, h, w, width) -> the same."""
        x = x + self._attend(self.norm1(x), windows)
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: Tensor, windows: Windows) -> Tensor:
        t, h, w = _size(x)
        back = windows.shift
        x = F.pad(x, (0, 0, *(side for pad in reversed(_padding((t, h, w), windows.size)) for side in (0, pad))))
        padded = _size(x)
        if any(back):
            x = torch.roll(x, tuple(-s for s in back), dims=(1, 2, 3))
        x = _joined(self.attn(_cut(x, windows.size), windows), windows.size, padded)
        if any(back):
            x = torch.roll(x, back, dims=(1, 2, 3))
        return x[:, :t, :h, :w]


class PatchMerging(nn.Module):
    """Four neighbours of a frame become one token, twice as wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)
        self.norm = nn.LayerNorm(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, t, h, w, width) -> (n, t, h / 2, w / 2, 2 width), rounded up."""
        _, h, w = _size(x)
        x = F.pad(x, (0, 0, 0, w % 2, 0, h % 2))
        corners = [x[:, :, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(corners, 4)))


class Stage(nn.Module):
    """Blocks that take turns between windows in place and windows moved by half their size."""

    def __init__(self, width: int, depth: int, heads: int, window: Size, *, gated: bool, merge: bool) -> None:
        super().__init__()
        self.full_window, self.gated = window, gated
        self.blocks = nn.ModuleList(SwinBlock(width, heads, window, gated=gated) for _ in range(depth))
        self.downsample = PatchMerging(width) if merge else None

    def forward(self, x: Tensor, window: Size, elastic: bool) -> Tensor:
        """(n, width, t, h, w) -> the same, or (n, 2 width, t, h / 2, w / 2)."""
        x = x.permute(0, 2, 3, 4, 1)
        # official quirk: half of the full window, even if that moves a smaller window further than its own size
        half = (self.full_window[0] // 2, self.full_window[1] // 2, self.full_window[2] // 2)
        layouts = [_windows(_size(x), window, shift, elastic, self.gated, x.device) for shift in ((0, 0, 0), half)]
        for i, block in enumerate(self.blocks):
            x = block(x, layouts[i % 2])
        if self.downsample is not None:
            x = self.downsample(x)
        return x.permute(0, 4, 1, 2, 3)


class PatchEmbed(nn.Module):
    """Two frames of 4 x 4 pixels are a token."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, WIDTH, (2, 4, 4), (2, 4, 4))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, t, h, w) -> (n, 96, t / 2, h / 4, w / 4), rounded up."""
        pads = reversed(_padding((int(x.shape[2]), int(x.shape[3]), int(x.shape[4])), (2, 4, 4)))
        x = self.proj(F.pad(x, [side for pad in pads for side in (0, pad)]))
        return self.norm(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)


class VideoSwin(nn.Module):
    """Video Swin Transformer, tiny; the position bias of the first three stages knows of fragments.

    `elastic` windows shrink with a clip that has less than 32 frames of 224 x 224; others are cut only where the map of
    tokens is smaller than a window. The authors' FAST-VQA has the former (so the windows of M are 2 x 2 x 2 in use),
    their DOVER the latter.
    """

    def __init__(self, window: Size = (8, 7, 7), *, gated: bool = True, elastic: bool = False) -> None:
        super().__init__()
        self.window, self.elastic = window, elastic
        self.patch_embed = PatchEmbed()
        self.layers = nn.ModuleList(
            Stage(WIDTH * 2**i, depth, heads, window, gated=gated and i < 3, merge=i < 3)
            for i, (depth, heads) in enumerate(zip(DEPTHS, HEADS, strict=True))
        )
        self.norm = nn.LayerNorm(WIDTH * 8)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, t, h, w) -> (n, 768, t / 2, h / 32, w / 32)."""
        video = (int(x.shape[2]), int(x.shape[3]), int(x.shape[4]))
        window = _resized(self.window, video) if self.elastic else self.window
        x = self.patch_embed(x)
        for layer in self.layers:
            x = layer(x, window, self.elastic)
        return self.norm(x.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)


class QualityHead(nn.Module):
    """A score for each place of the map; they are averaged only after that."""

    def __init__(self) -> None:
        super().__init__()
        self.fc_hid = nn.Conv3d(WIDTH * 8, 64, 1)
        self.fc_last = nn.Conv3d(64, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 768, t, h, w) -> (n, 1, t, h, w)."""
        return self.fc_last(F.gelu(self.fc_hid(x)))


class FastVQA(nn.Module):
    """Fragments -> Video Swin -> head."""

    def __init__(self, window: Size, preprocess: VideoPreprocess, *, gated: bool, rescale: Rescale | None) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.rescale = rescale
        self.fragments_backbone = VideoSwin(window, gated=gated, elastic=True)
        self.vqa_head = QualityHead()

    def forward(self, views: Mapping[str, Tensor]) -> Tensor:
        """`fragments` (n, 3, t, h, w) -> map of scores (n, 1, t / 2, h / 32, w / 32); its mean is the score."""
        return self.vqa_head(self.fragments_backbone(views["fragments"]))

    def judge(self, fragments: Tensor) -> Tensor:
        """(n, v, 3, t, h, w), v clips of each video -> (n,), mean over clips and maps."""
        raw = mean_score(self({"fragments": fragments.flatten(0, 1)}), fragments)
        return raw if self.rescale is None else torch.sigmoid((raw - self.rescale.mean) / self.rescale.std)


def fast_vqa_b(rescale: Rescale | None = None) -> FastVQA:
    """28.1 M parameters, 87.8 G multiply-adds for each of four clips.

    Args:
        rescale: raw scores to 0..1, `FAST_VQA` for this network; `FASTER_VQA` for the weights of FasterVQA.
    """
    # every second frame as in the authors' benchmark; their demo forgets the interval and takes every frame
    view = ClipView(EvenClips(4, frames=32, interval=2), VideoFragments(7, aligned_frames=32))
    return FastVQA((8, 7, 7), VideoPreprocess({"fragments": view}), gated=True, rescale=rescale)


def fast_vqa_m(rescale: Rescale | None = None) -> FastVQA:
    """For mobile devices: 27.6 M parameters, 11.5 G multiply-adds for each of four clips.

    Args:
        rescale: raw scores to 0..1, `FAST_VQA_M` for this network.
    """
    view = ClipView(EvenClips(4, frames=16, interval=2), VideoFragments(4, aligned_frames=8))
    return FastVQA((4, 4, 4), VideoPreprocess({"fragments": view}), gated=False, rescale=rescale)


def mean_score(maps: Tensor, clips: Tensor) -> Tensor:
    """Maps (n * v, 1, ...) of clips (n, v, ...) -> (n,)."""
    return maps.flatten(1).mean(1).reshape(clips.shape[:2]).mean(1)


def _size(x: Tensor) -> Size:
    """Time, height, width of tokens (n, t, h, w, width)."""
    return int(x.shape[1]), int(x.shape[2]), int(x.shape[3])


def _resized(window: Size, video: Size) -> Size:
    """The elastic window for a clip of this size: at least one token, at most the full window."""
    sides = zip(window, video, FULL, strict=True)
    return cast("Size", tuple(min(max(part * side // full, 1), part) for part, side, full in sides))


def _padding(size: Size, unit: Size) -> list[int]:
    """What is missing to a multiple."""
    return [-side % whole for side, whole in zip(size, unit, strict=True)]


def _cut(x: Tensor, window: Size) -> Tensor:
    """(n, t, h, w, c) -> (n * windows, N, c)."""
    t, h, w = (side // part for side, part in zip(_size(x), window, strict=True))
    x = x.reshape(-1, t, window[0], h, window[1], w, window[2], x.shape[4])
    return x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4, 6).flatten(0, 3)


def _joined(x: Tensor, window: Size, size: Size) -> Tensor:
    """The inverse of `_cut`."""
    t, h, w = (side // part for side, part in zip(size, window, strict=True))
    x = x.reshape(-1, t, h, w, *window, x.shape[2])
    return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(-1, *size, x.shape[7])


def _windows(size: Size, window: Size, shift: Size, elastic: bool, gated: bool, device: torch.device) -> Windows:
    """Where a map is no larger than a window along an axis, the windows stay in place there."""
    shift = cast("Size", tuple(0 if side <= whole else s for side, whole, s in zip(size, window, shift, strict=True)))
    window = cast("Size", tuple(min(side, whole) for side, whole in zip(size, window, strict=True)))
    padded = [side + pad for side, pad in zip(size, _padding(size, window), strict=True)]

    def each(labels: list[Tensor]) -> Tensor:
        """Labels along each axis -> (windows, N, 3)."""
        return _cut(torch.stack(torch.meshgrid(*labels, indexing="ij"), 3).unsqueeze(0).to(device), window)

    gate = mask = None
    if gated:
        cells = [_cells(*axis) for axis in zip(padded[1:], window[1:], shift[1:], strict=True)]
        labels = each([torch.zeros(padded[0]), *cells])
        gate = (labels.unsqueeze(2) - labels.unsqueeze(1)).abs().sum(3).unsqueeze(1)
    if any(shift):
        labels = each([_regions(*axis) for axis in zip(padded, window, shift, strict=True)])
        apart = (labels.unsqueeze(2) != labels.unsqueeze(1)).any(3)
        mask = (apart * -100.0).unsqueeze(1)
    return Windows(window, shift, elastic, gate, mask)


def _cells(side: int, grid: int, shift: int) -> Tensor:
    """Cell that each of `side` tokens belongs to: nearest, as torch interpolates, then rolled with the tokens.

    Official quirk: the authors take as many cells as a window has tokens, so 7, the grid of the fragments, in full
    windows only.
    """
    return F.interpolate(torch.arange(grid, dtype=torch.float32)[None, None], size=side)[0, 0].roll(-shift)


def _regions(side: int, window: int, shift: int) -> Tensor:
    """After a roll by -shift: 0 before the last window, 1 in it, 2 for what came round from the beginning."""
    at = torch.arange(side)
    return torch.where(at >= side - shift, 2.0, (at >= side - window).float()) if shift else torch.zeros(side)


def _position_index(window: Size) -> Tensor:
    """(N, N): row of the table for each pair of tokens, by their distance along the three axes."""
    at = torch.stack(torch.meshgrid(*(torch.arange(side) for side in window), indexing="ij")).flatten(1)
    apart = at[:, :, None] - at[:, None, :] + torch.tensor([side - 1 for side in window])[:, None, None]
    return (apart[0] * (2 * window[1] - 1) + apart[1]) * (2 * window[2] - 1) + apart[2]
