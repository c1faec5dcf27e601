"""`pipeline.train` and `pipeline.evaluate`, as a user calls them, on the tiny model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from click.testing import Result
from typer.testing import CliRunner

from pipeline.evaluate import evaluate
from pipeline.evaluation.predictions import EvaluatedModel
from pipeline.model.route import Route
from pipeline.train import train
from tests.fixtures import TINY_PROFILE

PREFIX_ROUTES = ["SSS", "TSS", "TTS", "TTT"]


def run(command: Any, *words: object) -> Result:
    result = CliRunner().invoke(command, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY_PROFILE)
    return path


@pytest.fixture
def cache(tiny_model: EvaluatedModel) -> Path:
    """Where the tiny model is trained already."""
    return tiny_model.checkpoint.parents[1]


def save(path: Path, array: npt.NDArray[Any]) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


def arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def test_train_prints_every_prefix_route_and_where_the_checkpoint_is(
    profile: Path, cache: Path, tiny_model: EvaluatedModel
) -> None:
    result = run(train, profile, "--cache", cache)
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    routes = [words for words in lines if words and words[0] in PREFIX_ROUTES]
    assert [words[0] for words in routes] == PREFIX_ROUTES
    for words, accuracy in zip(routes, tiny_model.accuracy, strict=True):
        assert f"{accuracy.top1:.2%}" in words
        assert f"{100 * accuracy.low:.1f}-{100 * accuracy.high:.1f}" in words
    assert f"checkpoint: {tiny_model.checkpoint}" in result.stdout
    assert max(map(len, result.stdout.splitlines()[:-1])) <= 100


def test_train_finds_in_the_cache_what_it_trained(
    profile: Path, cache: Path, tiny_model: EvaluatedModel
) -> None:
    before = tiny_model.checkpoint.stat().st_mtime_ns
    result = run(train, profile, "--cache", cache)
    assert "train teacher" not in result.stderr
    assert "distil" not in result.stderr
    assert tiny_model.checkpoint.stat().st_mtime_ns == before


def test_evaluate_prints_further_routes_of_a_profile_after_those_that_ship(
    profile: Path, cache: Path
) -> None:
    result = run(evaluate, profile, "--cache", cache, "--route", "STS", "--route", "TTT")
    assert result.exit_code == 0, result.stderr
    first = [line.split()[0] for line in result.stdout.splitlines() if "%" in line]
    assert [word for word in first if word != "route"] == [*PREFIX_ROUTES, "STS"]


def test_a_further_route_leaves_the_kept_evaluation_of_a_build_alone(
    profile: Path, cache: Path
) -> None:
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("evaluation-*")}
    run(evaluate, profile, "--cache", cache, "--route", "SST")
    assert kept.items() <= {p: p.stat().st_mtime_ns for p in cache.rglob("evaluation-*")}.items()


@pytest.mark.parametrize("kind", ["profile", "checkpoint"])
def test_logits_are_the_models_own_on_every_route(
    kind: str, profile: Path, cache: Path, tiny_model: EvaluatedModel, tmp_path: Path
) -> None:
    images = tiny_model.dataset.test.images[:300]  # more than one batch
    source = profile if kind == "profile" else tiny_model.checkpoint
    result = run(
        *(evaluate, source, "--cache", cache, "--route", "STS"),
        *("--inputs", save(tmp_path / "x.npy", images), "--logits", tmp_path / "out.npz"),
    )
    assert result.exit_code == 0, result.stderr
    found = arrays(tmp_path / "out.npz")
    assert list(found) == [*PREFIX_ROUTES, "STS"]
    inputs = tiny_model.dataset.normalization.apply(images)
    for name, logits in found.items():
        assert logits.dtype == np.float32
        with torch.no_grad():
            expected = tiny_model.model(inputs, Route.parse(name))
        assert np.allclose(logits, expected.numpy(), atol=1e-4), name


def test_logits_of_a_profile_are_those_of_the_routes_that_ship(
    profile: Path, cache: Path, tiny_model: EvaluatedModel, tmp_path: Path
) -> None:
    schedule = 'stages = "all"\norders = ["suffix"]'
    profile.write_text(TINY_PROFILE.replace('stages = "all"', schedule))
    images = save(tmp_path / "x.npy", tiny_model.dataset.test.images[:2])
    out = tmp_path / "out.npz"
    result = run(evaluate, profile, "--cache", cache, "--inputs", images, "--logits", out)
    assert result.exit_code == 0, result.stderr
    assert list(arrays(out)) == ["SSS", "SST", "STT", "TTT"]


@pytest.mark.parametrize(
    ("recipe", "routes"), [("joint", ["SSS", "SST", "STT", "TTT"]), ("reference", PREFIX_ROUTES)]
)
def test_a_checkpoint_has_the_routes_that_it_was_trained_for_if_it_was_for_some(
    recipe: str, routes: list[str], profile: Path, cache: Path, tmp_path: Path
) -> None:
    text = TINY_PROFILE.replace('stages = "all"', 'stages = "all"\norders = ["suffix"]')
    profile.write_text(text.replace('"joint"', f'"{recipe}"'))
    said = run(train, profile, "--cache", cache).stdout
    checkpoint = said.partition("checkpoint: ")[2].strip()
    images, out = save(tmp_path / "x.npy", np.zeros((2, 8, 8, 1), np.uint8)), tmp_path / "out.npz"
    result = run(
        *(evaluate, checkpoint, "--inputs", images, "--logits", out, "--route", "STS"),
    )
    assert result.exit_code == 0, result.stderr
    assert list(arrays(out)) == [*routes, "STS"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("distillation]", "distillation]\nbatch_size = 400"), "do not fill a batch of 400"),
        (("[bundle]", "[training.augmentation]\ncrop = 8\n[bundle]"), "crop = 8 can move images"),
    ],
)
def test_what_cannot_be_trained_is_told_before_the_teacher_is(
    change: tuple[str, str], said: str, profile: Path, tmp_path: Path
) -> None:
    profile.write_text(TINY_PROFILE.replace(*change))
    result = run(train, profile, "--cache", tmp_path / "cache")
    assert said in refusal(result)
    assert "train teacher" not in result.stderr


def test_plain_and_normalized_images_give_the_same_logits_and_it_says_which_they_were(
    tiny_model: EvaluatedModel, tmp_path: Path
) -> None:
    images = tiny_model.dataset.test.images[:5]
    normalized = tiny_model.dataset.normalization.apply(images).numpy()
    said = []
    for name, array in (("plain", images), ("normalized", normalized)):
        path = save(tmp_path / f"{name}.npy", array)
        out = tmp_path / f"{name}.npz"
        result = run(evaluate, tiny_model.checkpoint, "--inputs", path, "--logits", out)
        said.append(result.stdout)
    assert "5 uint8 images, normalized with the model's mean and deviation" in said[0]
    assert "5 float32 images, taken as normalized already" in said[1]
    plain, normal = arrays(tmp_path / "plain.npz"), arrays(tmp_path / "normalized.npz")
    for name in PREFIX_ROUTES:
        assert np.allclose(plain[name], normal[name], atol=1e-5)


def refusal(result: Result) -> str:
    assert result.exit_code == 2, result.stderr
    assert "remedy:" in result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 1, 8, 8), np.float64), "holds float64 [2, 1, 8, 8]"),
        (np.zeros((2, 1, 8, 8), ">f4"), "holds >f4"),
        (np.zeros((2, 8, 8, 1), np.float32), "float32 [n, 1, 8, 8]"),
        (np.zeros((2, 1, 8, 8), np.uint8), "uint8 [n, 8, 8, 1]"),
        (np.zeros((8, 8, 1), np.uint8), "holds uint8 [8, 8, 1]"),
        (np.zeros((2, 9, 9, 1), np.uint8), "holds uint8 [2, 9, 9, 1]"),
        (np.zeros((0, 8, 8, 1), np.uint8), "x.npy"),
        (np.full((2, 1, 8, 8), np.nan, np.float32), "not finite"),
        (np.array([{"a": 1}], dtype=object), "not a .npy file of numbers"),
    ],
)
def test_arrays_that_the_model_does_not_take_are_refused(
    array: npt.NDArray[Any], said: str, tiny_model: EvaluatedModel, tmp_path: Path
) -> None:
    path = save(tmp_path / "x.npy", array)
    out = tmp_path / "out.npz"
    message = refusal(run(evaluate, tiny_model.checkpoint, "--inputs", path, "--logits", out))
    assert str(path) in message
    assert said in message
    assert not out.exists()


def whole_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((2, 8, 8, 1), np.uint8))
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        whole_array()[:-1],
        whole_array().replace(b"(2, ", b"(9999999999999999, "),
        whole_array().replace(b"(2, ", b"((((, "),
        b"PK\3\4" + bytes(60),
    ],
)
def test_files_that_are_no_whole_arrays_are_refused(
    data: bytes, tiny_model: EvaluatedModel, tmp_path: Path
) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(data)
    out = tmp_path / "out.npz"
    assert str(path) in refusal(
        run(evaluate, tiny_model.checkpoint, "--inputs", path, "--logits", out)
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "there are no images to evaluate"),
        (["--inputs", "x.npy"], "--inputs and --logits belong together"),
        (["--logits", "out.npz"], "--inputs and --logits belong together"),
        (["--inputs", "none.npy", "--logits", "out.npz"], "none.npy: no such file"),
        (["--inputs", "none.npy", "--logits", "out.txt"], "out.txt: logits are written as"),
        (["--route", "TX"], "route 'TX' is not a word of S and T"),
        (["--route", "tS"], "--route tS: eager PyTorch computes in float32"),
        (["--inputs", "x", "--logits", "y.npz", "--route", "TT"], "route TT has 2 blocks"),
    ],
)
def test_wrong_usage_of_a_checkpoint_is_told(
    words: list[str], said: str, tiny_model: EvaluatedModel
) -> None:
    assert said in refusal(run(evaluate, tiny_model.checkpoint, *words))


def test_a_route_of_another_length_is_refused_before_anything_is_trained(
    profile: Path, tmp_path: Path
) -> None:
    said = refusal(run(evaluate, profile, "--cache", tmp_path / "cache", "--route", "TTSS"))
    assert "route TTSS has 4 blocks, the model 3" in said
    assert not (tmp_path / "cache").exists()


def test_an_output_that_cannot_be_written_is_named(
    tiny_model: EvaluatedModel, tmp_path: Path
) -> None:
    images = save(tmp_path / "x.npy", tiny_model.dataset.test.images[:1])
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "out.npz"
    assert str(out) in refusal(
        run(evaluate, tiny_model.checkpoint, "--inputs", images, "--logits", out)
    )
