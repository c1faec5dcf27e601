from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch._C import DispatchKey
from torch._export import utils
from torch._ops import OperatorBase
from torch._subclasses import fake_impls
from torch.export import exported_program
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


def test_kernels_of_composite_operators_are_made_once_and_taken_away_each_time() -> None:
    linear, matmul = torch.ops.aten.linear.default, torch.ops.aten.matmul.default
    fakes = fake_impls.op_implementations_dict
    found = []

    def decomposed() -> dict[torch._ops.OperatorBase, Any]:
        return {
            linear: utils._get_decomp_for_cia(linear),
            matmul: utils._special_op_to_preserve_cia,
        }

    def kernels() -> list[dict[Any, Any]]:
        return [dict(op.py_kernels) | {"fake": fakes.get(op)} for op in (linear, matmul)]

    before = kernels()
    with exported_program._override_composite_implicit_decomp(decomposed()):
        wanted = kernels()
    with walked_once():
        for _ in range(2):
            with exported_program._override_composite_implicit_decomp(decomposed()):
                found.append(kernels())
            assert kernels() == before
        # Another decomposition of the same operator has kernels of its own.
        with exported_program._override_composite_implicit_decomp({linear: len}):
            assert linear.py_kernels[DispatchKey.CompositeImplicitAutograd] is len
        # One that is found registered otherwise is registered as PyTorch does it.
        linear.py_kernels[DispatchKey.AutogradMPS] = len
        try:
            with exported_program._override_composite_implicit_decomp(decomposed()):
                assert linear.py_kernels[DispatchKey.AutogradMPS] is len
            assert linear.py_kernels[DispatchKey.AutogradMPS] is len
        finally:
            del linear.py_kernels[DispatchKey.AutogradMPS]
    assert kernels() == before
    assert found[0] == found[1] != before
    assert [set(ours) for ours in found[1]] == [set(theirs) for theirs in wanted]


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
