"""From what a device said to a report: of the tiny bundle, with the device's part made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.bundle.control import Controls
from pipeline.bundle.layout import control_folder
from pipeline.bundle.verify import Bundle, open_controls
from pipeline.core.errors import DeviceError
from pipeline.device.base import DeviceProperties
from pipeline.harness.campaign import Campaign, CampaignOptions
from pipeline.harness.placement import Payload
from pipeline.harness.samples import (
    Info,
    LatencySample,
    Logits,
    Predictions,
    TtfiSample,
)
from pipeline.report.assemble import compose_report
from pipeline.report.schema import Context, Report
from tests.report.builder import DEVICE, HARNESS, STATE, start, through

CONTEXT = Context(
    created="2026-01-02T03:04:05+00:00",
    tool="0.1.0",
    device=DeviceProperties.model_validate(DEVICE),
    engine="executorch 1.5.1",
    harness=Info.model_validate(HARNESS),
    options=CampaignOptions(states=("warm",)),
    before=STATE,
    after=STATE,
    seconds=1.0,
)


@pytest.fixture
def controls(built_bundle: Bundle) -> Controls:
    return open_controls(control_folder(built_bundle.root), built_bundle.manifest)


@pytest.fixture
def campaign(built_bundle: Bundle, controls: Controls) -> Campaign:
    """Of a device that computes exactly what eager PyTorch does."""
    manifest, root = built_bundle.manifest, built_bundle.root
    stages = range(len(manifest.stages))
    expected = np.fromfile(root / "eval/predictions.u16", "<u2").reshape(len(stages), -1)
    files = {f"stage-{k}": root / manifest.golden.outputs[k].path for k in stages}
    files |= {arm.name: control_folder(root) / arm.golden.path for arm in controls.arms}
    files["chain"] = files[f"stage-{stages[-1]}"]
    golden = {
        name: np.fromfile(file, "<f4").reshape(manifest.golden.images, -1)
        for name, file in files.items()
    }
    run = through("warm", len(stages))
    numbers = dict.fromkeys(Info.model_fields, 1)
    words = dict.fromkeys(("harness", "engine", "abi", "compiler"), "x") | {"cores": (0,)}
    answers = {"pwl": "stage-0"} | {arm: arm for arm in ("student", "teacher", "chain")}
    return Campaign(
        info=Info.model_validate(numbers | words),
        ttfi=[[_start(arm, golden[name][0]) for arm, name in answers.items()]],
        progress=[[run]],
        paced=[run],
        latency=[[LatencySample(name=name, steady_ns=(1,), steady_cpu_ns=(1,)) for name in files]],
        predictions=[
            Predictions(stage=k, predictions=tuple(int(label) for label in expected[k]))
            for k in stages
        ],
        logits=[
            Logits(name=name, input=i, logits=tuple(map(float, golden[name][i])))
            for name in files
            for i in range(manifest.golden.images)
        ],
    )


def _start(arm: str, logits: npt.NDArray[np.float32]) -> TtfiSample:
    return start(arm, "warm").model_copy(update={"logits": tuple(map(float, logits))})


@pytest.fixture
def compose(built_bundle: Bundle, controls: Controls, campaign: Campaign) -> Callable[[], Report]:
    payload = Payload(built_bundle, controls, control_folder(built_bundle.root))
    return lambda: compose_report(payload, campaign, CONTEXT)


def test_a_device_that_computes_rightly_gives_a_valid_report(
    compose: Callable[[], Report],
) -> None:
    report = compose()
    assert report.validity.verdict == "valid"
    assert report.validity.reasons == ()
    assert {result.max_rel for result in report.parity} == {0.0}
    assert Report.model_validate_json(report.to_json()).to_json() == report.to_json()


@pytest.mark.parametrize("value", [None, 1e30])
def test_logits_that_are_none_or_far_off_make_it_invalid(
    value: float | None, campaign: Campaign, compose: Callable[[], Report]
) -> None:
    line = campaign.logits[-1]
    campaign.logits[-1] = line.model_copy(update={"logits": (value, *line.logits[1:])})
    report = compose()
    assert report.validity.verdict == "invalid"
    assert report.parity[-1].passed is False
    assert (report.parity[-1].max_rel is None) == (value is None)
    assert line.name in report.validity.reasons[0].text


def test_of_fewer_images_host_and_device_are_compared_on_these(
    campaign: Campaign, compose: Callable[[], Report], built_bundle: Bundle
) -> None:
    labels = np.fromfile(built_bundle.root / "eval/labels.u16", "<u2")[:8]
    campaign.evaluated = 8
    campaign.predictions = [
        line.model_copy(update={"predictions": line.predictions[:8]})
        for line in campaign.predictions
    ]
    report = compose()
    assert report.validity.verdict == "valid"
    for stage, line in zip(report.stages, campaign.predictions, strict=True):
        right = int((np.array(line.predictions) == labels).sum())
        assert (stage.images, stage.correct, stage.host_correct) == (8, right, right)


def test_fewer_images_than_were_asked_for_are_no_evaluation(
    campaign: Campaign, compose: Callable[[], Report]
) -> None:
    campaign.predictions = [
        line.model_copy(update={"predictions": line.predictions[:8]})
        for line in campaign.predictions
    ]
    with pytest.raises(DeviceError, match="predictions by stage, not"):
        compose()


def test_an_image_without_a_label_is_wrong_and_makes_it_invalid(
    campaign: Campaign, compose: Callable[[], Report], built_bundle: Bundle
) -> None:
    labels = np.fromfile(built_bundle.root / "eval/labels.u16", "<u2")
    line = campaign.predictions[3]
    right = next(i for i, label in enumerate(labels) if line.predictions[i] == label)
    predictions = (*line.predictions[:right], -1, *line.predictions[right + 1 :])
    campaign.predictions[3] = line.model_copy(update={"predictions": predictions})
    report = compose()
    assert report.validity.verdict == "invalid"
    assert report.stages[3].correct == report.stages[3].host_correct - 1
    assert report.stages[3].differing == 1


def test_all_labels_differing_make_it_invalid(
    campaign: Campaign, compose: Callable[[], Report]
) -> None:
    line = campaign.predictions[0]
    predictions = tuple((label + 1) % 10 for label in line.predictions)
    campaign.predictions[0] = line.model_copy(update={"predictions": predictions})
    report = compose()
    assert report.validity.verdict == "invalid"
    assert "40 of 40 images are labeled otherwise" in report.validity.reasons[0].text


def test_wrong_results_weigh_more_than_a_busy_device(
    campaign: Campaign, compose: Callable[[], Report]
) -> None:
    campaign.paced[0] = through("warm", 4).model_copy(update={"wall_ns": 9})
    campaign.latency[0] = [
        one.model_copy(update={"steady_ns": (9,)}) for one in campaign.latency[0]
    ]
    assert compose().validity.verdict == "suspect"
    line = campaign.logits[0]
    campaign.logits[0] = line.model_copy(update={"logits": (None, *line.logits[1:])})
    validity = compose().validity
    assert validity.verdict == "invalid"
    assert [reason.id for reason in validity.reasons] == ["WRONG-RESULTS", "OTHER-LOAD"]


@pytest.mark.parametrize(
    "change",
    [
        lambda campaign: campaign.predictions.pop(),
        lambda campaign: campaign.predictions.append(campaign.predictions[0]),
        lambda campaign: campaign.predictions.append(
            campaign.predictions.pop().model_copy(update={"predictions": (1, 2)})
        ),
        lambda campaign: campaign.logits.pop(),
        lambda campaign: campaign.logits.append(campaign.logits[0]),
        lambda campaign: campaign.logits.append(
            campaign.logits.pop().model_copy(update={"logits": (1.0, 2.0)})
        ),
    ],
    ids=["stage", "twice", "fewer", "input", "input twice", "classes"],
)
def test_answers_to_another_question_are_the_device_s_fault(
    change: Callable[[Campaign], object], campaign: Campaign, compose: Callable[[], Report]
) -> None:
    change(campaign)
    with pytest.raises(DeviceError):
        compose()


def test_a_reference_of_zeros_has_a_relative_deviation_too(
    campaign: Campaign, controls: Controls, built_bundle: Bundle, bundle_copy: Path
) -> None:
    outputs = bundle_copy / "golden/stage-0.f32"
    outputs.write_bytes(bytes(outputs.stat().st_size))
    bundle = replace(built_bundle, root=bundle_copy)
    payload = Payload(bundle, controls, control_folder(bundle_copy))
    report = compose_report(payload, campaign, CONTEXT)
    assert report.parity[0].max_rel is not None
    assert report.validity.verdict == "invalid"
