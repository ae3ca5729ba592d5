"""Second line of defence: what was not taken out when it was read is taken out when it is written."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

from observations import changed, failing, healthy

from pytest_submariner.dataplane.constants import VX_SUBMARINER
from pytest_submariner.diagnose.diagnosis import Diagnosed, conclude
from pytest_submariner.diagnose.objects.agentlogs import tail
from pytest_submariner.diagnose.objects.redaction import REDACTED, blank, redact
from pytest_submariner.diagnose.sysdump.archive import may_replace, read, write

KEY = "c2VjcmV0LXRoYXQtbm9ib2R5LXNoYWxsLXNlZS1ldmVyLW9r"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\nshort\n-----END RSA PRIVATE KEY-----"


def content(file: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(file) as archive:
        for entry in archive:
            inner = archive.extractfile(entry)
            assert inner is not None
            found[entry.name.partition("/")[2]] = inner.read().decode()
    return found


def test_nothing_planted_in_an_observation_gets_out(tmp_path: Path) -> None:
    seen = changed(healthy(), "c1-w1", links=lambda links: [x for x in links if x.name != VX_SUBMARINER])
    seen = failing(seen, "pod.ngw.c1--*.c2--tcp")
    container = {
        "env": [{"name": "A_PASSWORD", "value": "planted-1"}],
        "args": ["--token", "planted-2", "--psk=planted-3"],
        "note": f"Authorization: Bearer planted-4, {KEY}, {PEM}, https://me:planted-5@host/",
    }
    pod = {"metadata": {"name": "p", "annotations": {"x/api-token": "planted-6"}}, "spec": {"containers": [container]}}
    objects = seen.objects["c1"]
    planted = replace(
        objects,
        found={**objects.found, "pods": (pod,)},
        tails={"p/c": ("level=info password: planted-7",)},
        logs={"p/c": ('E0101 PSK "planted-8"',)},
    )
    seen = replace(seen, objects={**seen.objects, "c1": planted}, unread=("c1-w2: token=planted-9 refused",))
    file = tmp_path / "sysdump.tar.gz"
    write(file, Diagnosed(conclude(seen)[0], seen, 0.1))
    files = content(file)
    for secret in (*(f"planted-{n}" for n in range(1, 10)), KEY, "MIIB", "short"):
        assert [name for name, text in files.items() if secret in text] == []
    assert REDACTED in files["clusters/c1/objects/pods.yaml"]
    assert {
        "index.html",
        "findings.json",
        "paths.txt",
        "clusters/c1/nodes/c1-w1.txt",
        "clusters/c1/logs/p_c.log",
    } <= set(files)
    assert "## Against what Submariner should have made" in files["clusters/c1/nodes/c1-w1.txt"]


def test_what_is_written_is_diagnosed_alike(tmp_path: Path) -> None:
    seen = changed(healthy(), "c1-w1", links=lambda links: [x for x in links if x.name != VX_SUBMARINER])
    seen = failing(seen, "pod.ngw.c1--*.c2--tcp")
    file = tmp_path / "sysdump.tar.gz"
    found = conclude(seen)[0]
    write(file, Diagnosed(found, seen, 0.1))
    assert read(file).findings == found


def test_blank_keeps_what_is_no_secret() -> None:
    data = {"publicKey": KEY, "psk_digest": KEY, "brokerK8sSecret": "name", "number": 3, "flag": True, "none": None}
    assert blank(data) == data
    assert blank({"tokenText": "x", "args": ["--verbose", "x"]}) == {"tokenText": REDACTED, "args": ["--verbose", "x"]}


def test_a_private_key_in_a_log_goes_as_a_whole() -> None:
    assert redact(f"before {PEM} after") == f"before {REDACTED} after"
    assert tail(f"one\n{PEM}\ntwo") == ("one", REDACTED, "two")


def test_only_sysdumps_are_replaced(tmp_path: Path) -> None:
    file = tmp_path / "x.tar.gz"
    assert may_replace(file, named=False)
    file.write_bytes(b"mine")
    assert not may_replace(file, named=False)
    assert may_replace(file, named=True)
    write(file, Diagnosed((), healthy(), 0.1))
    assert may_replace(file, named=False)
    assert json.loads(content(file)["observation.json"])["record_version"] == 1
