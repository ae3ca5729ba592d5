"""results.json keeps the contract: its golden copy, and its published schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pytest_submariner.compare.diff import ABSENT, compare
from pytest_submariner.compare.ginkgo import State, read_junit
from pytest_submariner.model.verdict import Expectation, SourceExpectation, Verdict
from pytest_submariner.report.json import document, write_results
from pytest_submariner.report.recorder import Recorder

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "results.schema.json").read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:
    """The schema, refusing properties it does not describe: what we write must all be described."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = {key: closed(part) for key, part in schema.items()}
    if "properties" in parts and isinstance(parts.get("type"), str):
        parts.setdefault("additionalProperties", False)
    return parts


def test_golden(recorder: Recorder, golden: Callable[[str, str], None]) -> None:
    golden("results.json", json.dumps(document(recorder), indent=1, ensure_ascii=False) + "\n")


def test_schema_describes_everything_that_is_written(recorder: Recorder) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document(recorder), closed(SCHEMA), jsonschema.Draft202012Validator)


def test_schema_describes_a_real_comparison(recorder: Recorder) -> None:
    report = read_junit(ROOT / "tests" / "compare" / "data" / "no-snat.junit.xml")
    recorder.comparison = compare(report, recorder.results).to_dict()
    jsonschema.validate(document(recorder), closed(SCHEMA), jsonschema.Draft202012Validator)


def test_schema_describes_a_run_that_found_nothing() -> None:
    jsonschema.validate(document(Recorder()), closed(SCHEMA), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (("path", "verdict"), [v.word for v in Verdict]),
        (("path", "expected"), [e.value for e in Expectation]),
        (("spec", "subctl"), [*(s.value for s in State), ABSENT]),
    ],
)
def test_schema_knows_every_word(place: tuple[str, str], words: list[str]) -> None:
    of, name = place
    assert sorted(SCHEMA["$defs"][of]["properties"][name]["enum"]) == sorted(words)


def test_schema_knows_every_source_expectation() -> None:
    source = SCHEMA["$defs"]["path"]["properties"]["source_ip"]["properties"]["expected"]
    assert sorted(source["enum"]) == sorted(SourceExpectation)


@pytest.mark.parametrize(
    "broken",
    [{"schema_version": 2}, {"paths": [{"id": "pod"}]}, {"comparison": {}}, {"clusters": [{"position": "cluster1"}]}],
)
def test_schema_refuses_what_breaks_the_contract(recorder: Recorder, broken: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**document(recorder), **broken}, SCHEMA)


def test_file_replaces_an_older_one_and_nothing_else_is_left(recorder: Recorder, tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.json"
    file.parent.mkdir()
    file.write_text("old", encoding="utf-8")
    write_results(recorder, file)
    assert json.loads(file.read_text(encoding="utf-8")) == document(recorder)
    assert list(file.parent.iterdir()) == [file]


def test_missing_folders_are_made(recorder: Recorder, tmp_path: Path) -> None:
    write_results(recorder, tmp_path / "a" / "b" / "results.json")
    assert (tmp_path / "a" / "b" / "results.json").is_file()


def test_no_secret_and_no_kubeconfig_reach_the_file(recorder: Recorder) -> None:
    assert "/somewhere/kubeconfig" not in json.dumps(document(recorder))
