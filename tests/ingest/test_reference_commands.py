"""`pipeline.evaluate` and `pipeline.build`, as a user calls them, on reference checkpoints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from pipeline.build import build
from pipeline.bundle.verify import open_bundle
from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.evaluate import evaluate
from pipeline.ingest.reference.reference_model import read_reference
from pipeline.lowering.capture import capture
from pipeline.lowering.registry import backend_for
from pipeline.model.route import Route, prefix_routes
from pipeline.settings import BackendName, LoweringSettings
from pipeline.workflows.model_source import ModelSource
from tests.fixtures import settings_from
from tests.ingest.reference_twin import (
    Twin,
    labels,
    resnet_config,
    twin,
    vgg_config,
    vit_config,
)
from tests.ingest.test_reference import images, pair

DIGITS = [str(digit) for digit in range(10)]

PROFILE = """
name = "official"

[data]
source = "digits"
image_size = 8
test_images = 200

[model]
source = "reference:{place}"

[schedule]
stages = "all"

[bundle]
golden_images = 2
evaluation_images = 20
"""


def run(command: Any, *words: object) -> Result:
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def digits_twin(names: list[str] = DIGITS, **changes: Any) -> Twin:
    """A small model for the digits' gray images."""
    small = {"num_channels": 1, **labels(names), **changes}
    return twin(
        resnet_config(hidden_sizes=[6, 8], depths=[2, 1], embedding_size=5, **small),
        resnet_config(hidden_sizes=[3, 4], depths=[1, 1], embedding_size=4, **small),
    )


@pytest.mark.parametrize("family", ["resnet", "vgg", "vit"])
def test_evaluate_writes_the_reference_s_logits_without_a_profile(
    family: str, tmp_path: Path
) -> None:
    made = pair(family, narrow=True)
    made.save(tmp_path / "out" / "checkpoint-7")
    inputs = images(family)
    np.save(tmp_path / "x.npy", inputs.numpy())
    route = made.routes[5]
    result = run(
        *(evaluate, f"reference:{tmp_path / 'out'}", "--inputs", tmp_path / "x.npy"),
        *("--logits", tmp_path / "out.npz", "--route", route),
    )
    assert result.exit_code == 0, result.stderr
    assert f"{tmp_path / 'out' / 'checkpoint-7'}: {family}" in result.stderr
    assert ("dead weights" in result.stderr) == (family == "vit")
    with np.load(tmp_path / "out.npz") as found:
        assert set(found) == {*map(str, prefix_routes(len(route))), route}
        for name, logits in found.items():
            expected = made.logits(inputs, name).numpy()
            assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max(), name


def test_evaluate_refuses_images_that_poolings_would_swallow(tmp_path: Path) -> None:
    folder = pair("vgg", narrow=True).save(tmp_path / "checkpoint-7")
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 40, 31), np.float32))
    words = ("--inputs", tmp_path / "x.npy", "--logits", tmp_path / "out.npz")
    result = run(evaluate, f"reference:{folder}", *words)
    assert result.exit_code == 2
    assert "height and width 32 or more" in result.stderr


def test_evaluate_of_plain_images_is_refused_where_their_normalization_is_not_known(
    tmp_path: Path,
) -> None:
    folder = pair("resnet", narrow=True).save(tmp_path / "checkpoint-7")
    np.save(tmp_path / "x.npy", np.zeros((1, 32, 32, 3), np.uint8))
    words = ("--inputs", tmp_path / "x.npy", "--logits", tmp_path / "out.npz")
    result = run(evaluate, f"reference:{folder}", *words)
    assert result.exit_code == 2
    assert "float32 [n, 3, height, width] (normalized)" in result.stderr


def test_a_profile_with_a_checkpoint_is_evaluated_and_built_into_a_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = digits_twin()
    folder = made.save(tmp_path / "out" / "checkpoint-7")
    profile = tmp_path / "official.toml"
    profile.write_text(PROFILE.format(place=folder.parent))
    cache = ("--cache", tmp_path / "cache")
    result = run(evaluate, profile, *cache, "--route", "ST")
    assert result.exit_code == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines() if "%" in line][-1] == "ST"
    built = (build, profile, *cache, "--out", tmp_path / "dist", "--backend", "litert")
    result = run(*built)
    assert result.exit_code == 0, result.stderr
    bundle = open_bundle(tmp_path / "dist")
    assert [stage.route for stage in bundle.manifest.stages] == ["SS", "TS", "TT"]
    golden = np.fromfile(bundle.root / "golden/inputs.f32", "<f4").reshape(2, 8, 8, 1)
    for index, stage in enumerate(bundle.manifest.stages):
        expected = made.logits(torch.from_numpy(golden).permute(0, 3, 1, 2), stage.route).numpy()
        logits = np.fromfile(bundle.root / f"golden/stage-{index}.f32", "<f4").reshape(2, 10)
        assert np.abs(logits - expected).max() < 1e-5 * np.abs(expected).max()
    assert "is up to date" in run(*built).stdout
    digits_twin(hidden_act="relu").save(tmp_path / "out" / "checkpoint-8")
    assert "is built" not in run(*built).stdout  # the same content under another number
    twin(made.teacher, made.student, seed=1).save(tmp_path / "out" / "checkpoint-10")

    def make(*_: object) -> None:
        raise UsageError("it is made anew")

    monkeypatch.setattr("pipeline.workflows.build_bundle._composition", make)
    assert "it is made anew" in run(*built).stderr


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (digits_twin([*DIGITS, "ten"]), "knows 11 labels (id2label), the data has 10"),
        (digits_twin(DIGITS[::-1]), "labels in another order: label 0 is '9', and '0' in the data"),
        (digits_twin(num_channels=3), "the data's images are [1, 8, 8]"),
        (
            twin(*[vit_config(num_channels=1, blocks=2, **labels(DIGITS))] * 2),
            "this model takes float32 [n, 1, 16, 16] (normalized); the data's images are [1, 8, 8]",
        ),
    ],
)
def test_a_model_for_other_data_is_refused(made: Twin, said: str, tmp_path: Path) -> None:
    profile = tmp_path / "official.toml"
    profile.write_text(PROFILE.format(place=made.save(tmp_path / "checkpoint-7")))
    result = run(evaluate, profile, "--cache", tmp_path / "cache")
    assert result.exit_code == 2
    assert said in result.stderr


def test_labels_by_other_names_are_taken(tmp_path: Path) -> None:
    made = digits_twin([f"LABEL_{digit}" for digit in DIGITS])
    profile = tmp_path / "official.toml"
    profile.write_text(PROFILE.format(place=made.save(tmp_path / "checkpoint-7")))
    assert run(evaluate, profile, "--cache", tmp_path / "cache").exit_code == 0


def test_naming_the_content_of_a_checkpoint_imports_no_torch(tmp_path: Path) -> None:
    folder = digits_twin().save(tmp_path / "checkpoint-7")
    settings_from(PROFILE.format(place=folder), tmp_path)
    code = (
        "import sys; from pathlib import Path; from pipeline.settings import load_settings;"
        "from pipeline.workflows.model_source import ModelSource;"
        "from pipeline.core.progress import Silent;"
        f"settings = load_settings(Path({str(tmp_path / 'profile.toml')!r}));"
        "print(ModelSource(settings, Silent()).content());"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    settings = settings_from(PROFILE.format(place=folder.parent), tmp_path)
    assert done.stdout.strip() == ModelSource(settings, Silent()).content()
    folder.rename(tmp_path / "gone")
    with pytest.raises(UsageError, match="neither a checkpoint"):
        ModelSource(settings, Silent()).content()


def two_blocks(family: str) -> Twin:
    """A small model with all that this project's own families do without by default."""
    if family == "resnet":
        stem = {"embedder_kernel_size": 7, "embedder_kernel_stride": 2, "embedder_use_pooler": True}
        small = {"downsample_in_first_stage": True, "depths": [1, 1], **stem}
        return twin(
            resnet_config(hidden_sizes=[6, 8], **small), resnet_config(hidden_sizes=[3, 8], **small)
        )
    if family == "vgg":
        return twin(
            vgg_config(hidden_sizes=[6, 8], depths=[2, 1]),
            vgg_config(hidden_sizes=[3, 8], depths=[1, 1]),
        )
    small = {"layer_norm_eps": 0.1, "qkv_bias": False, "blocks": 2}
    return twin(vit_config(hidden_size=24, num_attention_heads=4, **small), vit_config(**small))


@torch.no_grad()
@pytest.mark.parametrize(
    ("family", "backend"), [("resnet", "executorch"), ("vgg", "litert"), ("vit", "litert")]
)
def test_what_was_read_lowers_whole_and_computes_the_same(
    family: str, backend: BackendName, tmp_path: Path
) -> None:
    """The families' own tests lower each of them for both backends."""
    made, inputs = two_blocks(family), torch.randn(2, 3, 16, 16)
    model = read_reference(str(made.save(tmp_path / "checkpoint-7")), Silent()).model
    target = backend_for(LoweringSettings(backend=(backend,)))
    features, chain = inputs, []
    for identity in model.units(Route.parse("TS")):
        unit, name = model.unit(identity), str(identity)
        program = target.lower(capture(unit, features[:1], name), features[:1], name)
        assert program.delegated == sum(program.operators.values()) > 0
        features = unit(features)
        chain.append(program.data)
    assert len(chain) == 3  # teacher-0, encoder-0, student-1
    expected = made.logits(inputs, "TS")
    assert (target.run(chain, inputs) - expected).abs().max() < 1e-5 * expected.abs().max()
