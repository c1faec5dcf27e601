"""What a user's module computes is read off the operators that it runs, never off its classes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.core.errors import UsageError
from pipeline.lowering.capture import capture, eager
from pipeline.lowering.graph import OperatorGraph
from pipeline.lowering.refusal import NotLoweredError
from tests.lowering.operator_table import ChannelNorm, Function, NormActivation

IMAGE = torch.linspace(-3, 3, 8 * 6 * 6).reshape(1, 8, 6, 6)


def graph_of(module: nn.Module, image: Tensor = IMAGE) -> OperatorGraph:
    graph = capture(module.eval(), image, "unit")
    assert isinstance(graph, OperatorGraph)
    return graph


def spread(module: nn.Module) -> nn.Module:
    """Gives parameters and statistics values that matter; fresh ones are often neutral."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    for name, buffer in module.named_buffers():
        if "running_var" in name:
            buffer.uniform_(0.5, 2)
        elif "running_mean" in name:
            buffer.normal_()
    return module.eval()


def hooked() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU())
    module[0].register_forward_hook(lambda _module, _inputs, outputs: outputs * 2 + 1)
    return module


def overridden() -> nn.Module:
    module = nn.LayerNorm(6)
    module.forward = lambda input: input.abs()
    return nn.Sequential(nn.Conv2d(8, 8, 1), module)


def compiled() -> nn.Module:
    inner = nn.Sequential(nn.Conv2d(8, 8, 1), nn.GELU("tanh"))
    return nn.Sequential(torch.compile(inner), nn.ReLU())


def compiled_in_place() -> nn.Module:
    module = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Sigmoid())
    module[0].compile()
    return module


def in_place() -> nn.Module:
    def forward(x: Tensor, conv: nn.Module) -> Tensor:
        y = conv(x)
        y += x
        return F.relu_(y).mul_(2)

    return Function(forward, conv=nn.Conv2d(8, 8, 1))


KINDS: dict[str, Callable[[], nn.Module]] = {
    "a subclass with a forward of its own": lambda: ChannelNorm(8),
    "a batch normalization with an activation": lambda: nn.Sequential(
        nn.Conv2d(8, 8, 1), NormActivation(8)
    ),
    "a forward hook": hooked,
    "a forward of the instance": overridden,
    "torch.compile": compiled,
    "Module.compile": compiled_in_place,
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 4, 3)),
    "weight_norm by hooks": lambda: nn.utils.weight_norm(nn.Conv2d(8, 4, 3)),
    "spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 4, 3)),
    "spectral_norm by hooks": lambda: nn.utils.spectral_norm(nn.Conv2d(8, 4, 3)),
    "writing in place": in_place,
    "SyncBatchNorm": lambda: nn.Sequential(nn.Conv2d(8, 8, 1), nn.SyncBatchNorm(8)),
    "views of what was made contiguous for them": lambda: Function(
        lambda x: x.permute(0, 2, 3, 1).contiguous().view(6, 48)
    ),
    "sizes read at run time": lambda: Function(lambda x: x.reshape(x.shape[0], -1)[:, : x.size(2)]),
}


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_operators_compute_what_the_module_computes(kind: str) -> None:
    module = spread(KINDS[kind]())
    with eager():
        expected = module(IMAGE)
    graph = graph_of(module)
    assert torch.allclose(graph(IMAGE), expected, atol=1e-5 * float(expected.abs().max()))


@torch.no_grad()
def test_weights_that_are_computed_are_computed_once() -> None:
    graph = graph_of(spread(nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 4, 3))))
    assert [origin.operator for _, origin in graph.calls()] == ["conv2d"]


@torch.no_grad()
def test_constants_are_contiguous_whatever_their_strides_were() -> None:
    gain = torch.rand(6, 8).t()[None, :, :, None].expand(1, 8, 6, 6).transpose(2, 3)
    module = Function(lambda x: x * gain)
    graph = graph_of(module)
    assert [constant.stride() for constant in graph.buffers()] == [(288, 36, 6, 1)]
    assert torch.equal(graph(IMAGE), module(IMAGE))


def test_slices_and_expansions_that_change_nothing_leave_nothing() -> None:
    graph = graph_of(Function(lambda x: F.relu(x[:, :, 0:].expand(1, 8, 6, 6).reshape(x.shape))))
    assert [origin.operator for _, origin in graph.calls()] == ["relu"]


@torch.no_grad()
def test_a_mask_made_like_the_input_is_a_constant() -> None:
    """As Swin's, which numbers regions of a map of zeros."""

    def masked(x: Tensor) -> Tensor:
        regions = x.new_zeros((6, 6))
        regions[2:, :] = 1
        regions[:, 4:] = 2
        return x + regions.masked_fill(regions != 0, -9.0) * torch.ones_like(x)[:, :1]

    graph = graph_of(Function(masked))
    assert [origin.operator for _, origin in graph.calls()] == ["add"]
    assert torch.equal(graph(IMAGE), masked(IMAGE))


@torch.no_grad()
def test_slices_and_concatenations_of_maps_turned_channels_last_see_images() -> None:
    """As Swin merges neighbors."""

    def merged(x: Tensor) -> Tensor:
        last = F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 0, 0, 0))
        neighbors = [last[..., i::2, j::2, :] for i in (0, 1) for j in (0, 1)]
        return torch.cat(neighbors, -1) * 2.0

    graph = graph_of(Function(merged))
    calls = [(origin.operator, [*node.args]) for node, origin in graph.calls()]
    assert [name for name, _ in calls] == ["slice"] * 8 + ["cat", "cat", "mul"]
    assert calls[-3][1][1] == 1  # channels of images; what turns them follows
    assert torch.equal(graph(IMAGE), merged(IMAGE))


@torch.no_grad()
def test_a_mask_converted_to_the_input_s_type_is_a_constant() -> None:
    """As transformers' Swin makes its own."""
    graph = graph_of(Function(lambda x: x + (torch.arange(6) >= 3).long().to(x.dtype)))
    assert [origin.operator for _, origin in graph.calls()] == ["add"]


def test_no_kind_of_dropout_leaves_anything() -> None:
    dropouts = (nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.FeatureAlphaDropout())
    graph = graph_of(nn.Sequential(*dropouts, nn.ReLU()))
    assert [origin.operator for _, origin in graph.calls()] == ["relu"]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    "layers",
    [
        lambda norm: (nn.Conv2d(8, 6, 3, bias=False), norm(6)),
        lambda norm: (nn.Conv2d(8, 6, 3, padding="same", groups=2), norm(6), nn.ReLU()),
        lambda norm: (nn.ConvTranspose2d(8, 6, 3, 2, groups=2), norm(6)),
        lambda norm: (norm(8), nn.ReLU(), nn.Conv2d(8, 6, 3)),
        lambda norm: (nn.Conv2d(8, 6, 3), norm(6), norm(6)),
    ],
)
@torch.no_grad()
def test_batch_normalization_is_folded_into_convolutions_or_becomes_one(
    layers: Callable[..., tuple[nn.Module, ...]], affine: bool
) -> None:
    module = spread(nn.Sequential(*layers(lambda width: nn.BatchNorm2d(width, affine=affine))))
    graph, expected = graph_of(module), module(IMAGE)
    assert torch.allclose(graph(IMAGE), expected, atol=1e-5 * float(expected.abs().max()))
    operators = {str(node.target).split(".")[1] for node, _ in graph.calls()}
    assert operators <= {"conv2d", "conv_transpose2d", "relu"}


@torch.no_grad()
def test_batch_normalization_of_vectors_and_sequences_needs_no_operator_of_its_own() -> None:
    head = spread(nn.Sequential(nn.Flatten(), nn.Linear(288, 6), nn.BatchNorm1d(6)))
    behind_pooling = spread(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8)))
    for module in (head, behind_pooling):
        graph = graph_of(module)
        assert torch.allclose(graph(IMAGE), module(IMAGE), atol=1e-4)
        assert "batch_norm" not in {str(node.target).split(".")[1] for node, _ in graph.calls()}


@torch.no_grad()
def test_a_convolution_whose_output_others_read_stays_as_it_is() -> None:
    def forward(x: Tensor, conv: nn.Module, norm: nn.Module) -> Tensor:
        y = conv(x)
        result: Tensor = norm(y) + y
        return result

    module = spread(Function(forward, conv=nn.Conv2d(8, 8, 1), norm=nn.BatchNorm2d(8)))
    assert torch.allclose(graph_of(module)(IMAGE), module(IMAGE), atol=1e-4)


def test_every_call_knows_its_place_in_the_users_network() -> None:
    module = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Sequential(nn.GELU(), torch.compile(nn.ReLU())))
    graph = capture(module.eval(), IMAGE, "teacher-1", {"": "teacher.blocks.1"})
    assert isinstance(graph, OperatorGraph)
    places = [
        (origin.path.removeprefix("teacher.blocks.1."), origin.operator)
        for _, origin in graph.calls()
    ]
    assert places == [("0", "conv2d"), ("1.0", "gelu"), ("1.1", "relu")]


def test_capturing_leaves_the_module_as_it_is() -> None:
    module = compiled().eval()
    wrapped = module[0]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    graph_of(module)
    assert module[0] is wrapped
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_a_module_in_training_mode_is_refused() -> None:
    with pytest.raises(UsageError, match="unit is in training mode"):
        capture(nn.BatchNorm2d(8).train(), IMAGE, "unit")


def test_what_depends_on_values_of_tensors_is_refused() -> None:
    module = Function(lambda x: x if x.sum() > 0 else -x)
    with pytest.raises(UsageError, match="unit cannot be traced"):
        capture(module.eval(), IMAGE, "unit")


def test_scripted_blocks_are_refused_by_name_with_a_remedy_that_helps() -> None:
    module = nn.Sequential(nn.Conv2d(8, 8, 1), torch.jit.script(nn.Sequential(nn.ReLU())))
    with pytest.raises(NotLoweredError) as refused:
        capture(module.eval(), IMAGE, "student-0", {"": "student.blocks.0"})
    (refusal,) = refused.value.refusals
    assert (refusal.path, refusal.operator) == ("student.blocks.0.1", "TorchScript")
    assert "before torch.jit.script" in refusal.remedy


def test_a_context_of_torch_s_in_a_forward_is_refused_with_its_name() -> None:
    module = Function(lambda x: torch.autocast("cpu", torch.bfloat16)(torch.mm)(x[0, 0], x[0, 0]))
    with pytest.raises(NotLoweredError, match="wrap_with_autocast in unit") as refused:
        capture(module.eval(), IMAGE, "unit")
    assert "leave torch.autocast out" in refused.value.remedy


@pytest.mark.parametrize("follows", [lambda x: x.add_(1), nn.ReLU(inplace=True)])
def test_batch_normalization_beside_what_writes_in_place_is_folded(
    follows: Callable[[Tensor], Tensor],
) -> None:
    layers = nn.ModuleDict({"conv": nn.Conv2d(8, 4, 1), "norm": nn.BatchNorm2d(4)})
    module = spread(
        Function(lambda x, parts: follows(parts["norm"](parts["conv"](x))), part=layers)
    )
    graph = graph_of(module)
    assert "conv2d" in graph.code
    assert "norm" not in graph.code
    torch.testing.assert_close(graph(IMAGE), module(IMAGE))


def test_complex_numbers_are_refused_by_the_name_of_what_makes_them() -> None:
    angles = torch.polar(torch.ones(6, 3), torch.arange(18.0).view(6, 3))

    def rotated(x: Tensor) -> Tensor:
        pairs = torch.view_as_complex(x.unflatten(-1, (3, 2)))
        return torch.view_as_real(pairs * angles).flatten(-2)

    with pytest.raises(NotLoweredError, match=r"view_as_complex in unit") as caught:
        graph_of(Function(rotated))
    assert "cosine and the sine" in caught.value.remedy
    # Of constants alone they are no part of the program.
    assert "complex" not in graph_of(Function(lambda x: x * torch.view_as_real(angles).sum())).code


def test_random_numbers_in_eval_mode_are_refused_by_name() -> None:
    module = nn.Sequential(nn.ReLU(), Function(lambda x: F.dropout(x, training=True)))
    with pytest.raises(NotLoweredError, match=r"dropout in unit\.1"):
        capture(module.eval(), IMAGE, "unit")
