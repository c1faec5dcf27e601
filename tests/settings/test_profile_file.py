from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from pipeline.core.errors import ExitCode, UsageError
from pipeline.core.toml_file import Section, load_toml
from pipeline.data.source import data_fingerprint, load_dataset
from pipeline.model.family import build_model
from pipeline.report.gate_file import GateFile
from pipeline.settings import (
    BundleSettings,
    DigitsData,
    JointDistillation,
    Settings,
    VitModel,
    for_backends,
    load_settings,
)
from tests.fixtures import ROOT, TINY_PROFILE, settings_from

PROFILES = sorted((ROOT / "profiles").glob("*.toml"))


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_published_profile_is_valid_and_named_like_its_file(path: Path) -> None:
    assert load_settings(path).name == path.stem


def test_a_profile_says_what_its_tables_say(tiny_settings: Settings) -> None:
    assert isinstance(tiny_settings.data, DigitsData)
    assert isinstance(tiny_settings.training.distillation, JointDistillation)
    assert tiny_settings.model.teacher.block_strides == (1, 2, 2)


@pytest.mark.parametrize(
    ("images", "image_bytes", "evaluated"),
    [(10_000, 64, 1000), (597, 64, 597), (10_000, 224 * 224 * 3, 53), (5, 9_000_000, 1)],
)
def test_evaluation_images_are_bounded_by_number_and_by_bytes(
    images: int, image_bytes: int, evaluated: int
) -> None:
    assert BundleSettings().evaluated(images, image_bytes) == evaluated


def refusal(text: str, folder: Path) -> str:
    with pytest.raises(UsageError) as caught:
        settings_from(text, folder)
    assert caught.value.code is ExitCode.USAGE
    assert caught.value.remedy
    return caught.value.what


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("image_size", "image_sise", "data.image_sise: unknown key; did you mean 'image_size'?"),
        ("[bundle]", "[bumdle]", "bumdle: unknown key; did you mean 'bundle'?"),
        ("[bundle]", "[BUNDLE]", "BUNDLE: unknown key; did you mean 'bundle'?"),
        ("golden_images", "gold", "bundle.gold: unknown key"),
        ('recipe = "joint"', 'recipe = "join"', "distillation.recipe: input should be one of"),
        ('recipe = "joint"\n', "", "training.distillation.recipe: field required"),
        ('source = "digits"', 'source = "didgets"', "data.source: input should be one of 'digits'"),
        ('source = "digits"\n', "", "data.source: field required"),
        ("image_size = 8", "image_size = 100000", "data.image_size"),
        ("threads = 1", "threads = 1000000", "training.threads"),
        ("depths = [1, 2, 1]", 'depths = "121"', "depths: input should be a list (got '121')"),
        ("[schedule]\n", "[schedule]\norders = []\n", "orders: at least 1 entry is needed"),
        ("epochs = 3", "epochs = 0", "training.teacher.epochs"),
        ("epochs = 3", 'epochs = "many"', "(got 'many')"),
        ("depths = [1, 2, 1]", "depths = [1, 2]", "depths has 2 entries but widths has 3"),
        ("epochs = 3", "epochs = true", "training.teacher.epochs: input should be a valid integer"),
        ("epochs = 3", 'epochs = "3"', "training.teacher.epochs: input should be a valid integer"),
        ("epochs = 3", "epochs = 3.0", "training.teacher.epochs: input should be a valid integer"),
        ("image_size = 8", "image_size = true", "data.image_size: input should be a valid integer"),
        ('name = "tiny"', "name = 2026-01-01", "name: input should be a valid string"),
        ("[bundle]", "[lowering]\ntolerance = true\n[bundle]", "lowering.tolerance"),
        ("[bundle]", "[lowering]\ntolerance = 0.5\n[bundle]", "than or equal to 0.1 (got 0.5)"),
        ("[bundle]", '[lowering]\nbackend = "onnx"\n[bundle]', "lowering.backend"),
        (
            "[bundle]",
            '[lowering]\nbackend = ["litert", "litert"]\n[bundle]',
            "lowering.backend: a backend is named twice",
        ),
        ("[training]\n", "[training]\nfoo = 1\n", "training.foo: unknown key"),
        (
            'family = "resnet"',
            'family = "resnt"',
            "model: give a family (resnet, vgg or vit)",
        ),
        ('family = "resnet"\n', "", "model: give a family (resnet, vgg or vit)"),
        ('family = "resnet"', 'source = "kears:a:b"', "model.source: should be keras:MODULE"),
        ('family = "resnet"', 'source = "keras:a:b"', "model.teacher.stem: unknown key"),
        ('name = "tiny"', 'name = "../tiny"', "name: should be lower-case letters, digits, '.'"),
        ('name = "tiny"', 'name = "My App"', "64 at most (got 'My App')"),
        ('name = "tiny"', 'name = "tiny\\n"', "name: should be lower-case letters"),
    ],
)
def test_a_wrong_setting_is_named(right: str, wrong: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(TINY_PROFILE.replace(right, wrong, 1), tmp_path)


def test_an_unknown_key_of_one_recipe_is_not_excused_by_another(tmp_path: Path) -> None:
    text = TINY_PROFILE.replace('recipe = "joint"', 'recipe = "joint"\nsync_weight = 1.0')
    assert "training.distillation.sync_weight: unknown key" in refusal(text, tmp_path)


def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    text = TINY_PROFILE.replace("stem = 8", "stam = 8").replace("threads = 1", "treads = 1")
    said = refusal(text, tmp_path)
    assert "model.teacher.stam" in said
    assert "training.treads" in said


def test_a_wrong_entry_is_not_told_again_as_a_list_too_short(tmp_path: Path) -> None:
    text = TINY_PROFILE.replace("[schedule]\n", '[schedule]\norders = ["prefx"]\n')
    said = refusal(text, tmp_path)
    assert "schedule.orders.0: input should be 'prefix'" in said
    assert "a wrong setting" in said


def test_different_numbers_of_blocks_are_refused(tmp_path: Path) -> None:
    text = TINY_PROFILE.replace("widths = [4, 6, 8]", "widths = [4, 6]")
    said = refusal(text.replace("depths = [1, 1, 1]", "depths = [1, 1]"), tmp_path)
    assert "the teacher has 3 blocks and the student 2" in said


def test_what_is_no_toml_file_is_refused_by_line(tmp_path: Path) -> None:
    assert "line 1" in refusal("name = = 3", tmp_path)


def test_lists_in_lists_without_end_are_refused(tmp_path: Path) -> None:
    assert "without end" in refusal(f"x = {'[' * 5000}{']' * 5000}", tmp_path)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UsageError, match=str(path)):
            load_settings(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe\x00", "is written in UTF-16"),
        (TINY_PROFILE.encode("utf-16"), "is written in UTF-16"),
        (TINY_PROFILE.encode("utf-16-le"), "UTF-16 without a mark"),
        (TINY_PROFILE.encode("utf-32"), "is written in UTF-32"),
        ("name = 'tiny'\n# für".encode("latin-1"), "line 2 is not UTF-8 text (byte 0xfc)"),
    ],
)
def test_another_encoding_than_utf_8_is_told_in_words(
    data: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "profile.toml"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        load_settings(path)
    assert f"{path}: {said}" in caught.value.what.replace("holds zero bytes: it is written in ", "")
    assert "save it as UTF-8" in caught.value.remedy


@pytest.mark.parametrize("kind", [Settings, GateFile])
def test_a_byte_order_mark_does_no_harm(kind: type[Section], tmp_path: Path) -> None:
    gates = '[[gate]]\nname = "fast"\nmetric = "time"\nat_most = 1.0\n'
    path = tmp_path / "file.toml"
    text = TINY_PROFILE if kind is Settings else gates
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    marked = load_toml(path, kind)
    path.write_text(text)
    assert marked == load_toml(path, kind)


def test_a_keras_model_comes_trained_and_is_for_litert(tmp_path: Path) -> None:
    head, _, rest = TINY_PROFILE.partition("[model]")
    training = rest[rest.index("[training]") :]
    keras = head + '[model]\nsource = "keras:blocks.py:blocks"\n'
    assert "leave [training] out" in refusal(keras + training, tmp_path)
    assert 'needs [lowering] backend = "litert"' in refusal(keras, tmp_path)
    litert = keras + '[lowering]\nbackend = "litert"\n'
    assert settings_from(litert, tmp_path).training is None


def test_a_model_that_is_trained_here_needs_its_training_table(tmp_path: Path) -> None:
    text = TINY_PROFILE[: TINY_PROFILE.index("[training]")]
    assert "training: field required" in refusal(text, tmp_path)


def offline_forms(path: Path) -> list[str]:
    """The other ``[data]`` tables that a profile shows in its comments, as whole profiles."""
    lines = path.read_text().splitlines()
    start, end = lines.index("[data]") + 1, lines.index("[model]")
    shown = [line[4:] for line in lines[start:end] if line.startswith("#   ")]
    first = [index for index, line in enumerate(shown) if line.startswith("source")]
    return [
        "\n".join([*lines[:start], *shown[begin:stop], *lines[end:]])
        for begin, stop in zip(first, [*first[1:], None], strict=True)
    ]


CIFAR = sorted((ROOT / "profiles").glob("cifar*.toml"))
#: Megabytes of the paper's teachers and students, and their blocks.
PAPER = {"resnet": (21.4, 4.98, 4), "vgg": (59.0, 15.7, 5), "vit": (22.1, 11.4, 6)}


@pytest.mark.parametrize("profile", CIFAR, ids=lambda path: path.stem)
def test_the_offline_forms_that_a_profile_shows_are_valid(profile: Path, tmp_path: Path) -> None:
    forms = offline_forms(profile)
    assert [settings_from(form, tmp_path).data.source for form in forms] == ["parquet", "images"]


@pytest.mark.parametrize("profile", CIFAR, ids=lambda path: path.stem)
def test_the_cifar_profiles_have_the_networks_of_the_paper(profile: Path) -> None:
    settings = load_settings(profile)
    size = settings.data.image_size or 32
    with torch.device("meta"):  # sizes alone count
        model = build_model(settings.model, (3, size, size), 10, seed=0)
    teacher, student, blocks = PAPER[settings.model.family]
    found = [
        sum(tensor.nbytes for tensor in network.state_dict().values()) / 1e6
        for network in (model.teacher, model.student)
    ]
    assert found == pytest.approx([teacher, student], abs=0.06)
    assert model.blocks == blocks
    assert not list(model.encoders.parameters())  # equal widths need no converters


@pytest.mark.parametrize("profile", CIFAR, ids=lambda path: path.stem)
def test_the_cifar_profiles_train_as_the_official_code_does(profile: Path) -> None:
    training = load_settings(profile).training
    assert training is not None
    assert training.teacher is not None
    for table in (training.teacher, training.distillation):
        assert (table.momentum, table.nesterov, table.weight_decay) == (0.9, False, 5e-4)
        assert (table.schedule, table.cosine_floor) == ("cosine", 1e-5)
        assert (table.gradient_norm, table.drop_last) == (1.0, False)
        assert table.initial_weights == "normal"
    teacher, student = training.teacher, training.distillation
    assert (teacher.epochs, teacher.learning_rate, teacher.batch_size) == (160, 0.05, 128)
    assert (student.epochs, student.learning_rate, student.batch_size) == (100, 0.01, 64)
    assert student.recipe == "reference"
    side = load_settings(profile).data.image_size or 32
    changes = training.augmentation
    assert (changes.rotation, changes.flip, changes.border) == (15, True, "reflect")
    assert changes.crop == side // 8


@pytest.mark.parametrize("profile", CIFAR, ids=lambda path: path.stem)
def test_a_cifar_profile_says_what_it_keeps_and_what_it_changes(profile: Path) -> None:
    comment = profile.read_text().partition("name = ")[0]
    assert "Kept from the official code: " in comment
    assert "Changed: " in comment
    assert ("pretrained" in comment) == ("vit" in profile.stem)


def test_there_is_a_profile_for_every_family_and_both_data_sets() -> None:
    assert {path.stem for path in CIFAR} == {
        f"cifar{classes}-{family}" for classes in (10, 100) for family in PAPER
    }


DIGITS_TABLE = 'source = "digits"\nimage_size = 8\ntest_images = 1500'


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('source = "images"\npaht = "x"', "data.paht: unknown key; did you mean 'path'?"),
        ('source = "images"\npath = "x"\nchannels = 2', "data.channels"),
        ('source = "parquet"\npath = "x"\nlabel = "y"', "data.label: unknown key"),
        ('source = "parquet"\npath = "x"\ntrain_images = 0', "data.train_images"),
        ('source = "huggingface"', "data.name: field required"),
        (
            'source = "huggingface"\nname = "beans"\ntest_split = "train"',
            "train_split and test_split are both 'train': name another one",
        ),
        (
            'source = "npz"\npath = "x.npz"\ntest_inputs = "x_train"',
            "train_inputs and test_inputs are both 'x_train': save some inputs apart",
        ),
        (
            'source = "idx"\npath = "."\nlabels = ["cat", "dog", "cat"]',
            "labels 0 and 2 are both called 'cat': give every label a name of its own",
        ),
    ],
)
def test_a_wrong_data_table_is_named(table: str, said: str, tmp_path: Path) -> None:
    assert DIGITS_TABLE in TINY_PROFILE
    assert said in refusal(TINY_PROFILE.replace(DIGITS_TABLE, table), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'recipe = "joint"',
            'recipe = "joint"\nmin_learning_rate = 1e-5',
            "min_learning_rate is where a cosine ends, and schedule is 'one-cycle'",
        ),
        (
            "threads = 1",
            'threads = 1\nteacher_features = "disk"\naugmentation = { flip = true }',
            'teacher_features = "disk" keeps nothing',
        ),
        (
            "threads = 1",
            'threads = 1\naugmentation = { border = "reflect", flip = true }',
            'border = "reflect" changes nothing without crop',
        ),
    ],
)
def test_a_training_key_without_effect_is_refused(
    old: str, new: str, said: str, tmp_path: Path
) -> None:
    assert old in TINY_PROFILE
    assert said in refusal(TINY_PROFILE.replace(old, new), tmp_path)


VGG_MODEL = """
family = "vgg"
teacher = { widths = [8, 12], depths = [2, 1] }
student = { widths = [4, 6], depths = [1, 1] }
"""

VIT_MODEL = """
family = "vit"
teacher = { patch = 2, width = 24, heads = 3, depths = [2, 1] }
student = { patch = 2, width = 16, heads = 2, mlp_width = 20, depths = [1, 1] }
"""


def with_model(table: str) -> str:
    """The tiny profile with another ``[model]`` table."""
    before, rest = TINY_PROFILE.split("[model]\n")
    return f"{before}[model]{table}\n[training]\n{rest.split('[training]')[1]}"


def test_the_hidden_width_of_a_vit_is_four_times_its_width_unless_said(tmp_path: Path) -> None:
    model = settings_from(with_model(VIT_MODEL), tmp_path).model
    assert isinstance(model, VitModel)
    assert (model.teacher.hidden_width, model.student.hidden_width) == (96, 20)


@pytest.mark.parametrize(
    ("table", "right", "wrong", "said"),
    [
        (VGG_MODEL, '"vgg"', '"vggg"', "model"),
        (VGG_MODEL, "[2, 1]", "[2]", "model.teacher: depths has 1 entries but widths has 2"),
        (VGG_MODEL, "[8, 12], depths = [2, 1]", "[8], depths = [2]", "the teacher has 1 blocks"),
        (VGG_MODEL, "widths = [4", "stem = 3, widths = [4", "model.student.stem: unknown key"),
        (VGG_MODEL, "[4, 6]", "[4, 0]", "model.student.widths"),
        (VIT_MODEL, "heads = 3", "heads = 5", "width 24 cannot be shared out among 5 heads"),
        (VIT_MODEL, "patch = 2", "patch = 4", "the teacher's patch is 4 and the student's 2"),
        (VIT_MODEL, "[1, 1]", "[1]", "the teacher has 2 blocks and the student 1"),
        (VIT_MODEL, "[1, 1]", "[]", "depths: at least one block is needed"),
        (VIT_MODEL, "heads", "head", "model.teacher.head: unknown key; did you mean 'heads'?"),
    ],
)
def test_a_wrong_setting_of_a_family_is_named(
    table: str, right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    assert right in table
    assert said in refusal(with_model(table.replace(right, wrong, 1)), tmp_path)


def test_a_reference_checkpoint_comes_trained_and_is_for_any_backend(tmp_path: Path) -> None:
    head, _, rest = TINY_PROFILE.partition("[model]")
    training = rest[rest.index("[training]") :]
    reference = head + '[model]\nsource = "reference:out/checkpoint-7"\n'
    assert "leave [training] out" in refusal(reference + training, tmp_path)
    both = reference + '[lowering]\nbackend = ["executorch", "litert"]\n'
    settings = settings_from(both, tmp_path)
    assert settings.training is None
    assert settings.model.place == "out/checkpoint-7"


def test_no_error_of_a_profile_shows_a_regular_expression(tmp_path: Path) -> None:
    schema = json.dumps(Settings.model_json_schema())
    patterns = set(re.findall(r'"pattern": "([^"]+)"', schema))
    assert len(patterns) == 6
    said = refusal(TINY_PROFILE.replace('"tiny"', '"?"').replace("[model]", MODEL) + ARM, tmp_path)
    assert "name: should be" in said
    assert "arm.0.name: should be" in said
    assert "arm.0.route: should be" in said
    assert "android.name: should be" in said
    assert "model.source: should be" in said
    assert not any(json.loads(f'"{pattern}"') in said for pattern in patterns)


MODEL = '[model]\nsource = "kears:x"\n[unknown]'
ARM = '[[arm]]\nname = "Half"\nroute = "TX"\n[android]\nname = "A b"\n'


@pytest.fixture
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The folder of a profile, and the current folder, which is another one."""
    for name in ("profiles", "current"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "current")
    return tmp_path / "profiles", tmp_path / "current"


IMAGES = 'source = "images"\npath = "pictures"'


@pytest.mark.parametrize(
    ("there", "found"),
    [(("profiles", "current"), 0), (("profiles",), 0), (("current",), 1), ((), 0)],
)
def test_a_relative_path_is_beside_the_profile_or_else_in_the_current_folder(
    there: tuple[str, ...], found: int, apart: tuple[Path, Path]
) -> None:
    for folder in apart:
        if folder.name in there:
            (folder / "pictures").mkdir()
            (folder / "times.json").touch()
            (folder / "own.py").touch()
    text = TINY_PROFILE.replace(DIGITS_TABLE, IMAGES)
    text = text.replace("[schedule]\n", '[schedule]\nload_times = "times.json"\n')
    settings = settings_from(text, apart[0])
    assert settings.data.path == apart[found] / "pictures"
    assert settings.schedule.load_times == apart[found] / "times.json"
    own = with_source(DIGITS_TABLE, "python:own.py:model")
    where = f"{apart[found]}/" if there else ""  # a module's file is missed when it is imported
    assert settings_from(own, apart[0]).model.source == f"python:{where}own.py:model"


def with_source(data: str, source: str) -> str:
    """The tiny profile with other data and a source as its model."""
    before, rest = TINY_PROFILE.replace(DIGITS_TABLE, data).split("[model]\n")
    training = rest[rest.index("[training]") :]
    return f'{before}[model]\nsource = "{source}"\n\n{training}'


def test_other_paths_stay_as_they_are(apart: tuple[Path, Path]) -> None:
    for source in ("python:package.module:model", "python:/elsewhere/own.py:model"):
        assert settings_from(with_source(DIGITS_TABLE, source), apart[0]).model.source == source


@pytest.mark.parametrize("source", ["idx", "images", "parquet"])
def test_data_that_is_not_there_is_named_by_its_whole_path_and_the_rule(
    source: str, apart: tuple[Path, Path]
) -> None:
    text = TINY_PROFILE.replace(DIGITS_TABLE, f'source = "{source}"\npath = "pictures"')
    settings = settings_from(text, apart[0])
    for ask in (data_fingerprint, lambda data: load_dataset(data, 0)):
        with pytest.raises(UsageError) as caught:
            ask(settings.data)
        assert f"data.path: {apart[0]}/pictures: no such folder" in caught.value.what
        assert "beside the profile, then in the current folder" in caught.value.remedy


def test_what_names_a_build_holds_no_folder_of_the_machine(tmp_path: Path) -> None:
    dumps = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        text = with_source(f'source = "images"\npath = "{folder}"', f"python:{folder}/own.py:m")
        text = text.replace("[schedule]\n", f'[schedule]\nload_times = "{folder}/times.json"\n')
        dumps.append(settings_from(text, folder).model_dump(mode="json"))
    assert dumps[0] == dumps[1]
    assert str(tmp_path) not in json.dumps(dumps)


@pytest.mark.parametrize(
    "asks",
    [
        '[lowering]\nprecision = "static_wi8_ai8"\n',
        '[lowering.precision]\nstudent = ["fp32", "static_wi8_ai8", "fp32"]\n',
        '[[arm]]\nname = "other"\nroute = "student"\nprecision = "static_wi8_ai8"\n',
    ],
    ids=["all", "a block", "an arm"],
)
def test_a_recipe_that_a_backend_has_not_is_refused_before_training(
    asks: str, tmp_path: Path
) -> None:
    settings = settings_from(TINY_PROFILE + asks, tmp_path)
    assert for_backends(settings, ("executorch",)).lowering.backend == ("executorch",)
    with pytest.raises(UsageError, match="static_wi8_ai8, which litert does not have") as refused:
        for_backends(settings, ("executorch", "litert"))
    assert "dynamic_wi8_afp32, fp32, int8" in refused.value.remedy
