from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from pipeline.bundle.manifest import Manifest
from pipeline.bundle.verify import Bundle
from pipeline.core.errors import IntegrityError, UsageError
from pipeline.core.toml_file import Section
from pipeline.report.comparison import Comparison
from pipeline.report.devices import DevicesReport
from pipeline.report.report_file import load_report
from pipeline.report.schema import Report
from tests.fixtures import ROOT
from tests.report.builder import around, metric, report


def test_a_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    written = report({"time": metric(around(3.0))})
    path.write_text(written.to_json())
    assert load_report(path) == written


def test_a_report_that_an_editor_gave_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    written = report({"time": metric(around(3.0))})
    path.write_text(written.to_json(), encoding="utf-8-sig")
    assert load_report(path) == written


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", IntegrityError),
        ("{}", IntegrityError),
        ("[]", IntegrityError),
        ("[" * 100_000, IntegrityError),
        ('{"schema_version": 1, "artefacts": []}', UsageError),
        ('{"schema_version": 99}', UsageError),
        ('{"schema_version": true}', IntegrityError),
    ],
)
def test_what_is_no_report_is_refused(text: str, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(error, match=r"report\.json"):
        load_report(path)


def test_a_missing_report_and_a_folder_are_wrong_usage(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError):
            load_report(path)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((Manifest, "manifest"), (Report, "report"), (DevicesReport, "devices")),
        (Comparison, "comparison"),
    ],
)
def test_published_schemas_are_those_of_the_code(kind: type[Section], name: str) -> None:
    published = json.loads((ROOT / "docs" / f"{name}.schema.json").read_text())
    assert published.pop("$schema") == "https://json-schema.org/draft/2020-12/schema"
    assert published == kind.model_json_schema(), "run python scripts/write-schemas"


def test_documents_obey_the_published_schemas(built_bundle: Bundle) -> None:
    for data, name in (
        (json.loads((built_bundle.root / "manifest.json").read_text()), "manifest"),
        (json.loads(report({"time": metric([1.0])}).to_json()), "report"),
    ):
        schema = json.loads((ROOT / "docs" / f"{name}.schema.json").read_text())
        jsonschema.Draft202012Validator(schema).validate(data)
        data["surprise"] = 1
        with pytest.raises(jsonschema.ValidationError, match="surprise"):
            jsonschema.Draft202012Validator(schema).validate(data)
