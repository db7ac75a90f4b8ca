"""Begin where an earlier edition of the judge ended: its ONNX file into a network of its widths, perhaps shallower.

The file holds convolutions with their normalisation folded in. Each is split again, with statistics of given views, so
that training sees the same function; residual blocks that the new network lacks are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mien.core.errors import MissingExtraError
from mien.models.judge_net import JudgeNet


def begin_with(net: JudgeNet, model: Path, depths: Sequence[int], views: npt.NDArray[np.uint8]) -> None:
    """Load an earlier edition.

    Args:
        net: changed in place; what the file lacks (the teacher's features) keeps its random weights.
        model: written by `mien.training.export` for a network of the same stem and widths.
        depths: residual blocks in each stage of that network, none fewer than in `net`.
        views: (n, s, s, 3) uint8, some hundred, for the statistics of the normalisations.

    Raises:
        ValueError: the file is of another network.
        MissingExtraError: onnx is not installed.
    """
    arrays, folded = _read(model)
    stem = net.stem[0].weight.shape[0]  # type: ignore[union-attr]
    old = JudgeNet(int(stem), net.widths, tuple(depths))
    convolutions = [(name, m) for name, m in old.named_modules() if isinstance(m, nn.Conv2d)]
    if [tuple(w.shape) for w, _ in folded] != [tuple(m.weight.shape) for _, m in convolutions]:
        raise ValueError(f"{model.name} is no judge of the widths {net.widths} and the depths {tuple(depths)}")
    by_name = {name: pair for (name, _), pair in zip(convolutions, folded, strict=True)}
    with torch.no_grad():
        layers = _normalised(net)
        for name, (convolution, norm) in layers.items():
            weight, bias = by_name[name]
            convolution.weight.copy_(weight)
            _plain(norm, bias)
        _load_rest(net, arrays)
        _split(net.eval(), layers, views)
    net.train()


def _read(model: Path) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
    """All named arrays, and weight and bias of each convolution in order of execution; as float32."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise MissingExtraError("a start from an earlier model", "train") from None

    graph = onnx.load(model).graph
    arrays = {
        tensor.name.removesuffix(".half"): torch.from_numpy(numpy_helper.to_array(tensor).astype(np.float32))
        for tensor in graph.initializer
    }
    return arrays, [(arrays[n.input[1]], arrays[n.input[2]]) for n in graph.node if n.op_type == "Conv"]


def _normalised(net: JudgeNet) -> dict[str, tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Name of each convolution -> it, and the normalisation behind it."""
    modules = list(net.named_modules())
    convolutions = [(name, m) for name, m in modules if isinstance(m, nn.Conv2d)]
    norms = [m for _, m in modules if isinstance(m, nn.BatchNorm2d)]
    return {name: (c, n) for (name, c), n in zip(convolutions, norms, strict=True)}


def _plain(norm: nn.BatchNorm2d, bias: Tensor) -> None:
    """Make a normalisation that only adds `bias`."""
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.copy_(bias)


def _load_rest(net: JudgeNet, arrays: dict[str, Tensor]) -> None:
    """Embedding and outputs, which were stored under their names."""
    state = net.state_dict()
    rest = {key: arrays[f"net.{key}"] for key in state if f"net.{key}" in arrays}
    net.load_state_dict(state | rest)


def _split(net: JudgeNet, layers: dict[str, tuple[nn.Conv2d, nn.BatchNorm2d]], views: npt.NDArray[np.uint8]) -> None:
    """Give each normalisation the statistics of its input, and let it undo them: the same function."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        variance, mean = torch.var_mean(output, (0, 2, 3), correction=0)
        seen[name] = mean, variance

    hooks = [c.register_forward_hook(partial(note, name)) for name, (c, _) in layers.items()]
    net(torch.from_numpy(np.array(views)))
    for hook in hooks:
        hook.remove()
    for name, (_, norm) in layers.items():
        mean, variance = seen[name]
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)
