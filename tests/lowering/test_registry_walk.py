from __future__ import annotations

import copy

import pytest
import torch
from torch._export import utils
from torch._ops import OperatorBase
from torch.fx import Graph
from torch.fx.traceback import NodeSource

from pipeline.lowering.registry_walk import walked_once


def test_the_registry_is_walked_again_only_when_operators_were_registered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walks: list[int] = []

    def walk() -> None:
        walks.append(1)

    monkeypatch.setattr("pipeline.lowering.registry_walk._walked", 0)
    monkeypatch.setattr(utils, "_materialize_cpp_cia_ops", walk)
    with walked_once():
        for _ in range(3):
            utils._materialize_cpp_cia_ops()
        assert len(walks) == 1
        library = torch.library.Library("pwl_test", "DEF")
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x * 2, "CompositeImplicitAutograd")
        for _ in range(3):
            utils._materialize_cpp_cia_ops()
        assert len(walks) == 2
    assert utils._materialize_cpp_cia_ops is walk


def test_the_list_of_operators_is_the_one_that_torch_makes() -> None:
    wanted = utils._collect_all_valid_cia_ops()
    with walked_once():
        assert utils._collect_all_valid_cia_ops() == wanted


def test_kernels_are_registered_as_torch_registers_them() -> None:
    operator, key = torch.ops.aten.linear.default, torch._C.DispatchKey.AutogradMPS
    before = dict(operator.py_kernels)
    register = OperatorBase.py_impl
    with walked_once():
        assert OperatorBase.py_impl is not register
        try:
            assert operator.py_impl(key)(len) is len
            assert operator.py_kernels == before | {key: len}
            with pytest.raises(RuntimeError, match="override a python impl"):
                operator.py_impl(key)(len)
            with pytest.raises(AssertionError, match="expected DispatchKey"):
                operator.py_impl("no key")(len)
        finally:
            operator.py_kernels.pop(key, None)
    assert OperatorBase.py_impl is register


def test_where_a_node_is_from_is_shared_by_those_made_from_it() -> None:
    graph = Graph()
    first, second = graph.placeholder("first"), graph.placeholder("second")
    origin = NodeSource(first)
    second.meta["from_node"] = [origin]
    with walked_once():
        source = NodeSource(second)
        assert source.from_node == [origin]
        assert source.from_node[0] is origin
        assert source.from_node is not second.meta["from_node"]
    assert copy.deepcopy(origin) is not origin
