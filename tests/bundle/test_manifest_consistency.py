"""Bundles whose every sha256 is right, and whose manifest is wrong about itself or its files."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.bundle.layout import control_folder, sums_text
from pipeline.bundle.verify import open_bundle, open_controls
from pipeline.core.errors import IntegrityError

Change = Callable[[dict[str, Any]], object]
Contents = dict[str, bytes]


def canonical_id(data: dict[str, Any]) -> str:
    content = {key: value for key, value in data.items() if key != "id"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def reseal(root: Path, head: str, change: Change, contents: Contents | None = None) -> None:
    """Changes a head and files, and makes every sha256, size and id right for that."""
    data = json.loads((root / head).read_text())
    for path, content in (contents or {}).items():
        (root / path).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        for entry in entries(data):
            if entry["path"] == path:
                entry |= {"bytes": len(content), "sha256": digest}
    change(data)
    if head == "manifest.json":
        data["id"] = canonical_id(data)
    (root / head).write_text(json.dumps(data))
    files = (p for p in root.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
    digests = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }
    (root / "SHA256SUMS").write_text(sums_text(digests))


def entries(data: dict[str, Any]) -> list[dict[str, Any]]:
    if "arms" in data:
        return [arm[part] for arm in data["arms"] for part in ("program", "golden")]
    golden, evaluation = data["golden"], data["evaluation"]
    parts = [evaluation[name] for name in ("images", "labels", "predictions")]
    return [data["loading_plan"], *data["artifacts"], golden["inputs"], *golden["outputs"], *parts]


def refusal(root: Path) -> str:
    with pytest.raises(IntegrityError) as caught:
        open_bundle(root)
    return caught.value.what


def nothing(data: dict[str, Any]) -> None:
    pass


def test_a_bundle_that_is_sealed_again_verifies(bundle_copy: Path) -> None:
    reseal(bundle_copy, "manifest.json", nothing)
    open_bundle(bundle_copy)


def artifact(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(entry for entry in data["artifacts"] if entry["id"] == name)


def in_int8(data: dict[str, Any], name: str) -> None:
    """Says in all other places that it is."""
    artifact(data, name).update(precision="dynamic_wi8_afp32")
    artifact(data, name)["parity"].update(sqnr_db=40.0)
    data["golden"].update(least_sqnr_db=20.0)
    for stage in data["stages"]:
        if name in stage["units"]:
            stage["parity"].update(sqnr_db=40.0)


def planned(data: dict[str, Any], taken: str, top1: float = 0.9) -> None:
    int8 = {"top1": top1, "low": -0.1, "high": 0.1}
    choice = {"taken": taken, "fp32_top1": 0.9, "int8": int8, "why": "no worse"}
    data["schedule"].update(precision=choice)


def more_golden(data: dict[str, Any]) -> None:
    data["golden"]["images"] = 64


STATEMENTS: list[tuple[Change, str]] = [
    (more_golden, "golden/inputs.f32: 768 bytes, but 64 x 8 x 8 x 1 values of 4 bytes are 16384"),
    (more_golden, "golden/stage-0.f32: 120 bytes, but 64 x 10 values of 4 bytes are 2560"),
    (more_golden, "student-0: compared on 3 inputs of 64"),
    (lambda m: m["evaluation"].update(count=41), "eval/images.u8: 2560 bytes, but 41 x 8 x 8 x 1"),
    (lambda m: m["evaluation"].update(count=41), "eval/labels.u16: 80 bytes"),
    (lambda m: m["evaluation"].update(count=41), "eval/predictions.u16: 320 bytes, but 4 x 41"),
    (lambda m: m["golden"]["outputs"].pop(), "4 stages, but 3 golden outputs"),
    (lambda m: m["evaluation"]["correct"].append(1), "5 counts of correct predictions"),
    (lambda m: m["evaluation"]["correct"].__setitem__(0, 99), "stage 0: 99 of 40 evaluation"),
    (lambda m: m["model"].update(teacher_parameters=1), "the teacher has 1 parameters"),
    (lambda m: m["model"].update(student_parameters=1), "the student has 1 parameters"),
    (lambda m: artifact(m, "teacher-1").update(block=2), "not those of route TTS"),
    (lambda m: artifact(m, "teacher-1").update(role="student"), "not those of route TTS"),
    (lambda m: artifact(m, "encoder-0").update(block=1), "not those of route TSS"),
    (lambda m: artifact(m, "teacher-1").update(block=9), "teacher-1: there is no block 9"),
    (lambda m: artifact(m, "teacher-1").update(delegated=10**6), "more operators are delegated"),
    (lambda m: artifact(m, "teacher-1").update(bytes=5), "stage 2: loads"),
    (lambda m: artifact(m, "teacher-1")["parity"].update(inputs=4), "teacher-1: compared on 4"),
    (lambda m: artifact(m, "teacher-1")["parity"].update(max_rel=0.5), "teacher-1: deviates by"),
    (lambda m: artifact(m, "teacher-1")["parity"].update(max_rel=float("nan")), "parity.max_rel"),
    (lambda m: artifact(m, "teacher-1")["input"].update(layout="NTC"), "reads NTC"),
    (
        lambda m: in_int8(m, "teacher-1"),
        "teacher-1: dynamic_wi8_afp32, but the networks are fp32",
    ),
    (
        lambda m: in_int8(m, "encoder-0") or m["backend"].update(precision="int8"),
        "encoder-0: dynamic_wi8_afp32, but the networks are int8",
    ),
    (
        lambda m: artifact(m, "teacher-1").update(role="teacher-int8"),
        "teacher-1: fp32, but the networks are fp32",
    ),
    (lambda m: planned(m, "S8->T32"), "the plan S8->T32 was taken, but the networks are fp32"),
    (lambda m: planned(m, "S32->T32", 0.5), "was taken by a difference outside of its interval"),
    (lambda m: artifact(m, "teacher-1")["output"].update(shape=[2, 4, 4, 12]), "of one item"),
    (lambda m: artifact(m, "teacher-1")["output"].update(shape=[1, 4, 4, 13]), "but is given"),
    (lambda m: m["input"]["normalization"]["mean"].append(0.0), "1 channels, but 2 values of mean"),
    (lambda m: m["stages"][1].update(load_bytes=7), "stage 1: loads 7 bytes, but its units have"),
    (lambda m: m["stages"][1]["loads"].append("teacher-0"), "stage 1: loads and unloads do not"),
    (lambda m: m["stages"][1]["units"].append("teacher-0"), "stage 1: teacher-0 reads"),
    (lambda m: m["stages"][1].update(route="SSS"), "route 'SSS' occurs twice"),
    (lambda m: m["stages"][1].update(route="STS"), "not those of route STS"),
    (lambda m: m["stages"][1]["parity"].update(max_rel=1.0), "stage 1: deviates by 1"),
    (lambda m: m["stages"][1]["accuracy"].update(top1=1.0), "stage 1: top1 is 1, but"),
    (lambda m: m["stages"][1]["accuracy"].update(low=0.0), "stage 1: low is 0, but"),
    (lambda m: m["stages"][1]["accuracy"].update(correct=9999), "stage 1: 9999 of 1500 images"),
    (lambda m: m["stages"][1]["accuracy"].update(images=1400), "another number of images"),
    (lambda m: m["schedule"]["candidates"][0].update(stages=2), "the schedule speaks of 2 stages"),
    (lambda m: m["schedule"].update(order="suffix"), "suffix, which is none of its candidates"),
    (lambda m: m["schedule"]["steps"][0].update(low=0.99, high=1.0), "outside of its interval"),
    (
        lambda m: m["artifacts"].append(
            artifact(m, "teacher-1") | {"id": "spare", "path": "units/spare.pte"}
        ),
        "no stage uses spare",
    ),
    (lambda m: m["artifacts"].append(artifact(m, "teacher-1")), "'teacher-1' occurs twice"),
]


@pytest.mark.parametrize(("change", "said"), STATEMENTS, ids=[said for _, said in STATEMENTS])
def test_what_a_manifest_states_is_compared_with_the_rest_of_it(
    change: Change, said: str, bundle_copy: Path
) -> None:
    reseal(bundle_copy, "manifest.json", change)
    assert said in refusal(bundle_copy)


def test_the_size_of_a_file_is_compared_although_its_sha256_is_right(bundle_copy: Path) -> None:
    def claim(data: dict[str, Any]) -> None:
        artifact(data, "teacher-1")["bytes"] += 1
        data["stages"][2]["load_bytes"] += 1

    reseal(bundle_copy, "manifest.json", claim)
    assert "units/teacher-1.pte: " in refusal(bundle_copy)


def labels(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"eval/labels.u16": labels(*[10] * 40)}, "image 0: label 10, but there are 10 labels"),
        (
            {"eval/predictions.u16": labels(*[0] * 81, 700, *[0] * 78)},
            "eval/predictions.u16: stage 2, image 1: prediction 700, but there are 10 labels",
        ),
        ({"eval/predictions.u16": labels(*[0] * 160)}, "correct, not"),
        ({"golden/stage-1.f32": struct.pack("<30f", *[float("nan")] * 30)}, "not finite"),
        ({"golden/inputs.f32": struct.pack("<192f", *[float("inf")] * 192)}, "not finite"),
        ({"loading.plan": b"pwl-loading-plan 1\nend\n"}, "loading.plan: it says something else"),
        ({"golden/inputs.f32": bytes(764)}, "golden/inputs.f32: 764 bytes"),
        ({"eval/images.u8": bytes(2561)}, "eval/images.u8: 2561 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_files_hold_is_compared_with_what_the_manifest_states(
    contents: Contents, said: str, bundle_copy: Path
) -> None:
    reseal(bundle_copy, "manifest.json", nothing, contents)
    assert said in refusal(bundle_copy)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["arms"][0].update(route="SS"), "arm student: route SS has not 3 blocks"),
        (lambda c: c["arms"][0].update(name="pwl"), "an arm is called pwl"),
        (lambda c: c["arms"][0]["golden"].update(bytes=4), "golden/student.f32: 4 bytes"),
        (lambda c: c["arms"][0]["accuracy"].update(top1=1.0), "arm student: top1 is 1"),
        (lambda c: c["arms"].append(c["arms"][0]), "arm 'student' occurs twice"),
        (lambda c: c["arms"][0]["parity"].update(max_rel=1.0), "arm student: deviates by 1"),
        (lambda c: c["arms"][0]["parity"].update(inputs=1), "arm student: compared on 1 inputs"),
        (lambda c: c["arms"][0]["program"].update(bytes=1), "student.pte: "),
    ],
)
def test_control_arms_are_compared_with_their_bundle(
    change: Change, said: str, bundle_copy: Path
) -> None:
    controls = control_folder(bundle_copy)
    reseal(controls, "control.json", change)
    with pytest.raises(IntegrityError) as caught:
        open_controls(controls, open_bundle(bundle_copy).manifest)
    assert said in caught.value.what


def test_every_contradiction_is_told_at_once_each_on_a_line(bundle_copy: Path) -> None:
    reseal(bundle_copy, "manifest.json", more_golden)
    said = refusal(bundle_copy).splitlines()
    assert sum("bytes, but 64 x" in line for line in said) == 5
