"""`submariner-diagnose`: what people type, and what it says when it cannot look."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest
from observations import changed, failing, healthy

from pytest_submariner import diagnose_cli
from pytest_submariner.dataplane.constants import VX_SUBMARINER
from pytest_submariner.diagnose.diagnosis import Diagnosed, conclude
from pytest_submariner.diagnose.observation import Observation
from pytest_submariner.diagnose.sysdump.archive import SysdumpUnreadable, read, write
from pytest_submariner.diagnose.sysdump.record import from_dict, to_dict
from pytest_submariner.model.nodestate import Link


def broken() -> Observation:
    def without(links: tuple[Link, ...]) -> list[Link]:
        return [link for link in links if link.name != VX_SUBMARINER]

    return failing(changed(healthy(), "c1-w1", links=without), "pod.ngw.c1--*.c2--tcp")


def diagnosed(seen: Observation) -> Diagnosed:
    return Diagnosed(conclude(seen)[0], seen, 0.1)


def test_an_observation_survives_being_written_down() -> None:
    seen = broken()
    again = from_dict(json.loads(json.dumps(to_dict(seen))))
    assert conclude(again) == conclude(seen)
    assert again.topology == seen.topology
    assert [flow.result for flow in again.flows] == [flow.result for flow in seen.flows]
    assert {k: s.before for k, s in again.sights.items()} == {k: s.before for k, s in seen.sights.items()}


def test_a_sysdump_is_diagnosed_without_clusters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sysdump.tar.gz"
    write(file, diagnosed(broken()))
    assert diagnose_cli.main(["--sysdump", str(file)]) == diagnose_cli.EXIT_FOUND
    said = capsys.readouterr().out
    assert "OVERLAY_DEVICE_MISSING on c1-w1 (c1)" in said
    assert max(map(len, said.splitlines())) <= 80
    assert diagnose_cli.main(["--sysdump", str(file), "--json"]) == diagnose_cli.EXIT_FOUND
    assert json.loads(capsys.readouterr().out)["findings"][0]["node"] == "c1-w1"


def test_a_sysdump_of_health_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sysdump.tar.gz"
    write(file, diagnosed(healthy()))
    assert diagnose_cli.main(["--sysdump", str(file)]) == diagnose_cli.EXIT_HEALTHY
    assert "paths work; nothing is wrong." in capsys.readouterr().out


def test_a_sysdump_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "sysdump.tar.gz", diagnosed(healthy()))
    assert list(tmp_path.iterdir()) == []


def archive(file: Path, name: str, content: bytes) -> Path:
    inner = file.with_suffix(".part")
    inner.write_bytes(content)
    with tarfile.open(file, "w:gz") as made:
        made.add(inner, name)
    return file


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("other.json", b"{}", "holds no observation.json"),
        ("observation.json", b"[]", "is no JSON object"),
        ("observation.json", b"{", "is no sysdump"),
        ("observation.json", b'{"record_version": 99}', "record_version is 99; this release reads 1"),
        ("observation.json", b'{"record_version": 1}', "KeyError: 'topology'"),
    ],
)
def test_what_is_no_sysdump_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, why: str
) -> None:
    file = archive(tmp_path / "x.tar.gz", name, content)
    with pytest.raises(SysdumpUnreadable, match=str(file)):
        read(file)
    assert diagnose_cli.main(["--sysdump", str(file)]) == diagnose_cli.EXIT_FAILED
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--sysdump", "nowhere.tar.gz"], "nowhere.tar.gz: No such file or directory"),
        (["--kubeconfig", "nowhere", "--context", "a"], "nowhere"),
    ],
)
def test_what_is_not_there_is_named(capsys: pytest.CaptureFixture[str], options: list[str], why: str) -> None:
    assert diagnose_cli.main(options) == diagnose_cli.EXIT_FAILED
    said = capsys.readouterr().err
    assert why in said
    assert said.startswith("submariner-diagnose: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("given", ["0", "-1", "soon", "nan", "1e9"])
def test_a_timeout_is_a_number_of_seconds(capsys: pytest.CaptureFixture[str], given: str) -> None:
    with pytest.raises(SystemExit) as ended:
        diagnose_cli.main([f"--timeout={given}"])
    assert ended.value.code == diagnose_cli.EXIT_USAGE
    assert f"argument --timeout: '{given}' is no number of seconds above 0 and up to 3600" in capsys.readouterr().err
