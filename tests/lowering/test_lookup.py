"""Lookups of tokens: by the engines' own operators, the only ones outside of their delegates."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle
from pipeline.device.local import LocalDevice
from pipeline.harness.session import HarnessSession
from pipeline.lowering.backend import Backend, Program
from pipeline.lowering.capture import capture
from pipeline.lowering.executorch import rules as executorch
from pipeline.lowering.graph import operators_of
from pipeline.lowering.litert import rules as litert
from pipeline.lowering.registry import backend_for
from pipeline.lowering.rewrite import Rules, rewritten
from pipeline.settings import LoweringSettings
from pipeline.toolchain.package import Package
from tests.fixtures import deployment_in
from tests.resealed import reseal

ROWS = 5


class Lookup(nn.Module):
    """A row for each pixel, whose value is the token; as wide as there are channels."""

    def __init__(self, width: int, rows: int = ROWS) -> None:
        super().__init__()
        torch.manual_seed(width)
        self.table = nn.Embedding(rows, width)
        self.same = nn.Conv2d(width, width, 1, bias=False)  # for a delegate behind the lookup, too
        nn.init.dirac_(self.same.weight)

    def forward(self, images: Tensor) -> Tensor:
        count, _, height, width = images.shape
        tokens = images.clamp(0, len(self.table.weight) - 0.5).to(torch.int64)
        rows = self.table(tokens.reshape(count, -1)).reshape(count, height, width, -1)
        features: Tensor = self.same(rows.movedim(3, 1))
        return features


#: Tokens, values between them, and what is none.
VALUES = torch.tensor([0.0, 1.0, 3.7, 4.0, 4.999, 5.0, 1e9, -0.5, -3.0]).view(1, 1, 3, 3)


@pytest.mark.parametrize("rules", [executorch.RULES, litert.RULES], ids=["executorch", "litert"])
@pytest.mark.parametrize("rows", [1, 2, ROWS, 1000])
@torch.no_grad()
def test_what_is_no_token_is_looked_up_as_the_nearest_one(rules: Rules, rows: int) -> None:
    class Unguarded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(rows, 3)

        def forward(self, tokens: Tensor) -> Tensor:
            found: Tensor = self.table(tokens.to(torch.int64))
            return found

    module, example = Unguarded().eval(), torch.zeros(1, 9)
    changed = rewritten(operators_of(capture(module, example, "unit")), rules, example)
    values = VALUES.flatten(1)
    assert torch.equal(changed(values), module.table(values.clamp(0, rows - 1).long()))


@pytest.fixture(scope="module")
def backend(either_bundle: Bundle) -> Backend:
    return backend_for(LoweringSettings(backend=either_bundle.manifest.backend.name))


@pytest.fixture(scope="module")
def program(either_bundle: Bundle, backend: Backend) -> tuple[Lookup, Program]:
    """A lookup that could be the first unit of a bundle's student, and what is made of it."""
    unit = either_bundle.manifest.artifact("student-0")
    module = Lookup(unit.output.shape[-1]).eval()
    example = torch.zeros(1, 1, *unit.input.shape[1:3])
    return module, backend.lower(capture(module, example, "unit"), example, "unit")


def test_nothing_but_a_lookup_is_outside_of_delegates(
    program: tuple[Lookup, Program], backend: Backend
) -> None:
    found = program[1]
    own = {
        "executorch": ("embedding", "to_dim_order_copy"),
        "litert": ("EMBEDDING_LOOKUP", "CAST", "RESHAPE"),
    }[backend.spec.name]
    assert {*own} <= {*found.operators}
    assert sum(found.operators.values()) - found.delegated == len(own) < found.delegated


@torch.no_grad()
def test_a_program_gives_the_rows_of_its_table(
    program: tuple[Lookup, Program], backend: Backend
) -> None:
    module, found = program
    images = torch.randn(2, 1, 8, 8) * 4
    images[0, :, :3, :3] = VALUES
    assert torch.equal(backend.run([found.data], images), module(images))


def test_the_device_looks_up_the_same(
    program: tuple[Lookup, Program],
    backend: Backend,
    either_bundle: Bundle,
    harness_package: Package,
    tmp_path: Path,
) -> None:
    root = tmp_path / "bundle"
    shutil.copytree(either_bundle.root, root)
    shutil.copytree(control_folder(either_bundle.root), control_folder(root))
    (tmp_path / "control").symlink_to(control_folder(root))
    chain = [root / either_bundle.manifest.artifact(f"student-{k}").path for k in range(3)]
    # The manifest tells the bytes of each stage: neither runtime minds zeros behind a program.
    chain[0].write_bytes(program[1].data.ljust(chain[0].stat().st_size, b"\0"))
    deployment = deployment_in(tmp_path, harness_package, reseal(root).manifest)
    session = HarnessSession(LocalDevice(tmp_path / "work"), deployment, deadline_s=60)
    lines = [line for line in session.parity() if line.name == "stage-0"]
    inputs = np.fromfile(root / "golden/inputs.f32", "<f4").reshape(len(lines), 1, 8, 8)
    expected = backend.run([path.read_bytes() for path in chain], torch.from_numpy(inputs))
    found = torch.tensor([line.logits for line in lines])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
