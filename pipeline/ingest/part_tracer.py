"""Follows values through a network from submodule to submodule, by torch.fx."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from pipeline.ingest.forward_hooks import shown_to_hooks

#: What makes a number, or a truth, of what a tensor holds.
_READS = ("item", "tolist", "numpy", "equal", "allclose", "is_nonzero")
#: Defaults such as those of ``mask=None`` and ``return_features=False``.
_PLAIN = (type(None), bool, int, float, str)


class PartInterpreter(fx.Interpreter):
    """Gives modules lists that they may write into, as HRNet's do, not those of a graph."""

    def fetch_args_kwargs_from_env(self, n: fx.Node) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, named = super().fetch_args_kwargs_from_env(n)
        return tuple(map(_writable, args)), {name: _writable(each) for name, each in named.items()}


def _writable(value: Any) -> Any:
    if isinstance(value, list):
        return [*map(_writable, value)]
    return value


class _Value(fx.Proxy):
    """A value that is followed; what has as many parts for any images can be counted."""

    tracer: PartTracer

    def __len__(self) -> int:
        return self.tracer.length(self)


class PartTracer(fx.Tracer):
    """Looks into some modules, and calls all others.

    Conditions on sizes are what they are for the images, such as an assertion of their height.
    """

    def __init__(self, holders: Collection[str], images: Tensor) -> None:
        super().__init__()
        self._holders = holders
        self._images = images
        self._runs = False
        self._inputs = 0

    def is_leaf_module(self, module: nn.Module, path: str) -> bool:
        return path not in self._holders

    def create_proxy(
        self, kind: str, target: Any, args: tuple[Any, ...], *rest: Any, **named: Any
    ) -> Any:
        """An input behind the first is what it is when nobody gives it, where that is plain."""
        if kind == "placeholder":
            self._inputs += 1
            if self._inputs > 1 and args and isinstance(args[0], _PLAIN):
                return args[0]
        return super().create_proxy(kind, target, args, *rest, **named)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Value(node, self)

    def length(self, obj: fx.Proxy) -> int:
        """How many parts a value has, such as the sizes of a tensor."""
        node = obj.node  # written down when it is asked for, such as that of x.shape
        found = {len(values[node]) for values in self._values()}
        if len(found) > 1:
            raise RuntimeError("what is counted depends on the number of images")
        return found.pop()

    def iter(self, obj: fx.Proxy) -> Iterator[fx.Proxy]:
        """The parts of a value that has as many for any images, such as those of a tuple."""
        parts = cast(Any, obj)
        return iter([parts[place] for place in range(self.length(obj))])

    def to_bool(self, obj: fx.Proxy) -> bool:
        node = obj.node
        given = self._values()
        two, three = (values[node] for values in given)
        plain = isinstance(two, bool | int) and isinstance(three, bool | int) and two == three
        if plain and not _is_read_from_values(node, given[0]):
            return bool(two)
        return super().to_bool(obj)

    def _values(self) -> Sequence[dict[fx.Node, Any]]:
        """What each node gives for two images, and for three others."""
        first, last = self._images[:1], self._images[-1:]
        return [self._values_of(torch.cat(images)) for images in ([first] * 2, [last] * 3)]

    def _values_of(self, images: Tensor) -> dict[fx.Node, Any]:
        running = PartInterpreter(self.root, garbage_collect_values=False, graph=self.graph)
        running.args_iter = iter([images])
        self._runs = True
        try:
            with torch.no_grad():
                for node in self.graph.nodes:
                    running.env[node] = running.run_node(node)
        finally:
            self._runs = False
        return running.env

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._runs:  # a value is looked for; otherwise calls are written down
            return forward(*args, **kwargs)
        called = super().call_module(m, forward, args, kwargs)
        looked_into = self.path_of_module(m) in self._holders
        return called if looked_into else shown_to_hooks(m, args, called)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._runs else super().getattr(attr, attr_val, parameter_proxy_cache)


def _is_read_from_values(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    """Whether a number is what a tensor holds, or is made of such; not if it counts or names."""
    if getattr(node.target, "__name__", node.target) in _READS:
        return True
    sources = [each for each in node.all_input_nodes if not isinstance(values[each], Tensor)]
    return any(_is_read_from_values(each, values) for each in sources)
