"""Follows values through a network from submodule to submodule, by torch.fx."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from pipeline.ingest.forward_hooks import shown_to_hooks
from pipeline.ingest.inner_network import InnerNetwork

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
        found = self.tracer.length(self)
        if not isinstance(found, int):
            raise RuntimeError("what is counted depends on the number of images")
        return found

    def __index__(self) -> int:
        if not isinstance(found := self.tracer.number(self), int):
            raise TypeError(f"{found!r} is no whole number")
        return found

    def __int__(self) -> int:
        return int(self.tracer.number(self))

    def __float__(self) -> float:
        return float(self.tracer.number(self))


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
        self._running: list[PartInterpreter] = []

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

    def length(self, obj: fx.Proxy) -> Any:
        """How many parts a value has, such as the sizes of a tensor.

        Returns:
            The number; where it is that of the images, a value that is followed.
        """
        node = obj.node  # written down when it is asked for, such as that of x.shape
        two, three = (values[node] for values in self._values())
        if len(two) == len(three):
            return len(two)
        return cast(Any, obj).size(0) if isinstance(two, Tensor) else None

    def number(self, obj: fx.Proxy) -> int | float:
        """What a size, or what is made of sizes, is for any images.

        Raises:
            TypeError: that depends on them or on how many there are.
        """
        if (found := self._plain(obj.node)) is None:
            raise TypeError(f"{obj.node.name} depends on the images, or on how many there are")
        return found

    def iter(self, obj: fx.Proxy) -> Iterator[fx.Proxy]:
        """The parts of a value that has as many for any images, such as those of a tuple."""
        parts = cast(Any, obj)
        return iter([parts[place] for place in range(len(parts))])

    def to_bool(self, obj: fx.Proxy) -> bool:
        found = self._plain(obj.node)
        return bool(found) if isinstance(found, int) else super().to_bool(obj)

    def _plain(self, node: fx.Node) -> int | float | None:
        """The number, or truth, that a node gives for any images; None if it depends on them."""
        given = self._values()
        two, three = (values[node] for values in given)
        plain = isinstance(two, int | float) and type(two) is type(three) and two == three
        return two if plain and not _is_read_from_values(node, given[0]) else None

    def _values(self) -> Sequence[dict[fx.Node, Any]]:
        """What each node gives for two images, and for three others."""
        if not self._running:
            first, last = self._images[:1], self._images[-1:]
            for images in ([first] * 2, [last] * 3):
                running = PartInterpreter(self.root, garbage_collect_values=False, graph=self.graph)
                running.args_iter = iter([torch.cat(images)])
                self._running.append(running)
        self._runs = True
        try:
            with torch.no_grad():
                for running in self._running:
                    for node in self.graph.nodes:
                        if node not in running.env:  # the graph only grows
                            running.env[node] = running.run_node(node)
        finally:
            self._runs = False
        return [running.env for running in self._running]

    def call_module(self, m: nn.Module, forward: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        if self._runs:  # a value is looked for; otherwise calls are written down
            return forward(*args, **kwargs)
        called = super().call_module(m, forward, args, kwargs)
        looked_into = self.path_of_module(m) in self._holders
        return called if looked_into else shown_to_hooks(m, args, called)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._runs else super().getattr(attr, attr_val, parameter_proxy_cache)


def _followed_length(value: Any) -> Any:
    """As `len`; the number of images stays a value that is followed, which `len` cannot give."""
    if isinstance(value, _Value) and (found := value.tracer.length(value)) is not None:
        return found
    return len(value)


@contextmanager
def followed_lengths(network: nn.Module) -> Iterator[None]:
    """Lets a network's own code count images by `len` while it is followed."""
    inner = network._network[0] if isinstance(network, InnerNetwork) else network
    code = [getattr(type(each).forward, "__globals__", {}) for each in {inner, *network.modules()}]
    places = [each for each in code if "len" not in each]
    for place in places:
        place["len"] = _followed_length
    try:
        yield
    finally:
        for place in places:
            place.pop("len", None)


def _is_read_from_values(node: fx.Node, values: dict[fx.Node, Any]) -> bool:
    """Whether a number is what a tensor holds, or is made of such; not if it counts or names."""
    if getattr(node.target, "__name__", node.target) in _READS:
        return True
    sources = [each for each in node.all_input_nodes if not isinstance(values[each], Tensor)]
    return any(_is_read_from_values(each, values) for each in sources)
