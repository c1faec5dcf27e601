"""Keras models as a source of blocks. Skipped where TensorFlow is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_bundle
from pipeline.core.errors import UsageError
from pipeline.core.progress import Silent
from pipeline.device.local import LocalDevice
from pipeline.harness.session import HarnessSession
from pipeline.toolchain.package import Package
from pipeline.workflows.build_bundle import assemble
from pipeline.workflows.schedule_model import scheduled_model
from tests.fixtures import ROOT, deployment_in, settings_from

pytest.importorskip("tensorflow", reason="TensorFlow is not installed (an optional extra)")

PROFILE = """
name = "keras-tiny"
[data]
source = "digits"
test_images = 1500
[model]
source = "keras:FILE:blocks"
[lowering]
backend = "litert"
[bundle]
golden_images = 3
evaluation_images = 40
"""

BLOCKS = """
import keras
from keras import layers
from pipeline.ingest.keras import KerasBlocks

def network(width):
    first = keras.Input((8, 8, 1))
    norm = layers.BatchNormalization()
    norm_out = norm(layers.Conv2D(width, 3, padding="same")(first))
    last = keras.Input((8, 8, width))
    pooled = layers.GlobalAveragePooling2D()(layers.Conv2D(width, 3, strides=2)(last))
    body = keras.Model(first, layers.ReLU()(norm_out))
    norm.set_weights([w + 0.3 for w in norm.get_weights()])
    return [body, keras.Model(last, layers.Dense(CLASSES)(pooled))]

def blocks(images, labels):
    assert images.shape == (297, 8, 8, 1) and labels.shape == (297,)
    keras.utils.set_random_seed(0)
    between = keras.Input((8, 8, 6))
    encoder = keras.Model(between, layers.Conv2D(ENCODED, 1)(between))
    return KerasBlocks(network(6), network(4), [encoder])
"""


def profile(folder: Path, blocks: str = BLOCKS, **names: int) -> Path:
    """A profile and the file that it names."""
    words = {"CLASSES": 10, "ENCODED": 4} | names
    for word, value in words.items():
        blocks = blocks.replace(word, str(value))
    (folder / "blocks.py").write_text(blocks)
    path = folder / "keras.toml"
    path.write_text(PROFILE.replace("FILE", str(folder / "blocks.py")))
    return path


def build(folder: Path, blocks: str = BLOCKS, **names: int) -> Bundle:
    settings = settings_from(profile(folder, blocks, **names).read_text(), folder)
    return assemble(settings, folder / "out", folder / "cache", Silent(), jobs=1).bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(tmp_path_factory.mktemp("keras"))


def test_the_bundle_says_what_made_it(bundle: Bundle) -> None:
    manifest = bundle.manifest
    assert manifest.model.family == "keras"
    assert manifest.backend.exporter.startswith("tensorflow-cpu 2.")
    assert [stage.route for stage in manifest.stages] == ["SS", "TS", "TT"]
    assert all(unit.delegated == sum(unit.operators.values()) for unit in manifest.artifacts)
    # Two convolutions, a batch normalization (its four vectors too) and a classifier.
    assert manifest.artifact("teacher-0").parameters == 9 * 6 + 6 + 4 * 6


def test_every_program_agrees_with_keras(bundle: Bundle) -> None:
    for unit in bundle.manifest.artifacts:
        assert unit.parity.max_rel < 1e-5
    for stage in bundle.manifest.stages:
        assert 0 < stage.parity.max_rel < 1e-5


def test_the_harness_runs_it(bundle: Bundle, harness_package: Package, tmp_path: Path) -> None:
    (tmp_path / "bundle").symlink_to(bundle.root)
    deployment = deployment_in(tmp_path, harness_package, bundle.manifest)
    session = HarnessSession(LocalDevice(tmp_path / "work"), deployment, deadline_s=60)
    wanted = bundle.root / bundle.manifest.golden.outputs[1].path
    golden = memoryview(wanted.read_bytes()).cast("f").tolist()
    first = next(line for line in session.parity() if (line.name, line.input) == ("stage-1", 0))
    assert first.logits == pytest.approx(golden[:10], rel=1e-4, abs=1e-5)


def test_a_second_build_changes_nothing_and_an_edited_file_does(tmp_path: Path) -> None:
    first = build(tmp_path)
    settings = settings_from(profile(tmp_path).read_text(), tmp_path)
    again = assemble(settings, tmp_path / "out", tmp_path / "cache", Silent(), jobs=1)
    assert not again.rebuilt
    edited = build(tmp_path, BLOCKS.replace("+ 0.3", "+ 0.5"))
    assert edited.manifest.id != first.manifest.id


def test_other_weights_that_the_function_loads_are_evaluated_anew(tmp_path: Path) -> None:
    seed = tmp_path / "seed"
    blocks = BLOCKS.replace("seed(0)", f"seed(int(open({str(seed)!r}).read()))")
    settings = settings_from(profile(tmp_path, blocks).read_text(), tmp_path)
    found = []
    for text in ("0", "1", "0"):
        seed.write_text(text)
        scheduled = scheduled_model(settings, tmp_path / "cache", Silent())
        found.append(scheduled.evaluated.predictions.tolist())
    assert found[0] != found[1]
    assert found[0] == found[2]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"ENCODED": 5}, r"student block 1 behind encoder 0 takes \(8, 8, 4\) but is given"),
        ({"CLASSES": 9}, r"the teacher gives \(9,\), there are 10 labels"),
    ],
)
def test_blocks_that_do_not_fit_are_named(names: dict[str, int], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        build(tmp_path, **names)


def test_a_function_that_gives_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gave NoneType"):
        build(tmp_path, "def blocks(images, labels): return None")


def test_tensorflow_s_own_interpreter_agrees(bundle: Bundle) -> None:
    done = inspect(bundle.root)
    assert done.returncode == 0, done.stderr
    assert "tf.lite of TensorFlow 2." in done.stdout
    for unit in bundle.manifest.artifacts:
        assert unit.id in done.stdout


def test_it_agrees_on_programs_of_pytorch_too(litert_bundle: Bundle) -> None:
    assert inspect(litert_bundle.root).returncode == 0


def test_it_finds_logits_that_are_not_the_program_s(bundle: Bundle) -> None:
    from pipeline.core.errors import IntegrityError
    from pipeline.workflows.cross_check_bundle import cross_check

    golden = bundle.manifest.golden
    swapped = golden.model_copy(update={"outputs": golden.outputs[::-1]})
    lying = Bundle(bundle.root, bundle.manifest.model_copy(update={"golden": swapped}))
    with pytest.raises(IntegrityError, match=r"SS in tf\.lite deviates"):
        cross_check(lying, "tf")


def inspect(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline.inspect", str(root), "--cross-check", "tf"]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_controls_are_whole_networks(bundle: Bundle) -> None:
    assert open_bundle(bundle.root).manifest.id == bundle.manifest.id
    assert sorted(path.name for path in control_folder(bundle.root).glob("*.tflite")) == [
        "student.tflite",
        "teacher.tflite",
    ]
