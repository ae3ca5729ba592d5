"""Options, environment and ini: where a value comes from, and what is said about a bad one."""

from __future__ import annotations

from typing import Any

import pytest

USAGE_ERROR = pytest.ExitCode.USAGE_ERROR
SHOW = """
def test_show(submariner_settings):
    s = submariner_settings
    print("SHOWN", {name: str(getattr(s, name)) for name in %r}, dict(s.sources))
"""


def complaint(result: pytest.RunResult) -> str:
    """The one line of a usage error."""
    assert result.ret == USAGE_ERROR, result.stdout.str()
    lines = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(lines) == 1
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    return lines[0]


def test_option_beats_environment_beats_ini(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeini("[pytest]\nsubmariner_timeout = 1\nsubmariner_exec = ssh\nsubmariner_image = a/b\n")
    monkeypatch.setenv("PYTEST_SUBMARINER_TIMEOUT", "2")
    monkeypatch.setenv("PYTEST_SUBMARINER_EXEC", "pod")
    pytester.makepyfile(SHOW % ["timeout", "exec", "image"])
    result = pytester.runpytest("-s", "--submariner-timeout=3")
    result.stdout.fnmatch_lines(["*SHOWN {'timeout': '3.0', 'exec': 'pod', 'image': 'a/b'}*"])
    result.stdout.fnmatch_lines(["*'timeout': 'option'*"])
    result.stdout.fnmatch_lines(["*'exec': 'environment PYTEST_SUBMARINER_EXEC'*'image': 'ini submariner_image'*"])


def test_the_header_shows_values_with_their_source(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_SUBMARINER_EXEC", "pod")
    pytester.makepyfile("def test_nothing(): pass")
    result = pytester.runpytest("--submariner-timeout=3")
    result.stdout.fnmatch_lines(
        [
            "submariner: provider=lab (default), exec=pod (from environment PYTEST_SUBMARINER_EXEC), timeout=3 (from option)"
        ]
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "pytest.ini",
            "[pytest]\nsubmariner_context = north 'south pole'\nsubmariner_timeout = 2.5\nsubmariner_keep = yes\n",
        ),
        pytest.param(
            "pyproject.toml",
            "[tool.pytest]\nsubmariner_context = ['north', 'south pole']\nsubmariner_timeout = 2.5\nsubmariner_keep = true\n",
            marks=pytest.mark.skipif(pytest.version_tuple < (9,), reason="native TOML came with pytest 9.0"),
        ),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\nsubmariner_context = ['north', 'south pole']\n"
            "submariner_timeout = '2.5'\nsubmariner_keep = true\n",
        ),
    ],
    ids=["ini", "toml", "toml-ini"],
)
def test_ini_values_as_strings_and_as_toml_types(pytester: pytest.Pytester, file: str, text: str) -> None:
    (pytester.path / file).write_text(text)
    pytester.makepyfile(SHOW % ["context", "timeout", "keep", "provider"])
    result = pytester.runpytest("-s", "-c", file)
    result.stdout.fnmatch_lines(
        ["*SHOWN*\"('north', 'south pole')\", 'timeout': '2.5', 'keep': 'True', 'provider': 'kubeconfig'*"]
    )


def test_lists_in_the_environment_are_separated_by_commas(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_SUBMARINER_CONTEXT", "north, south")
    pytester.makepyfile(SHOW % ["context"])
    pytester.runpytest("-s").stdout.fnmatch_lines(["*SHOWN*('north', 'south')*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--submariner-provider=labb"],
            "--submariner-provider: 'labb' (from option) is not known; allowed are lab, kubeconfig, kind; did you mean lab?",
        ),
        (["--submariner-exec=telnet"], "*'telnet' (from option) is not known; allowed are auto, pod, ssh, docker"),
        (
            ["--submariner-timeout=soon"],
            "--submariner-timeout: 'soon' (from option) is not a time; allowed are seconds above 0*",
        ),
        (["--submariner-timeout=0"], "--submariner-timeout: '0' (from option) is not a time*"),
        (["--submariner-timeout=-1"], "--submariner-timeout: '-1' (from option) is not a time*"),
        (["--submariner-timeout=nan"], "--submariner-timeout: 'nan' (from option) is not a time*"),
        (["--submariner-context="], "--submariner-context: '' (from option) is empty"),
        (
            ["--submariner-sample=3"],
            "--submariner-sample: '3' (from option) is about the mesh; give --submariner-mesh as well",
        ),
        (
            ["--submariner-mesh", "--submariner-sample=0"],
            "--submariner-sample: '0' (from option) is not such a number; allowed are whole numbers from 1",
        ),
        (
            ["--submariner-rate=fast"],
            "--submariner-rate: 'fast' (from option) is not such a number; allowed are*from 1",
        ),
        (["--submariner-pods-per-node=4"], "--submariner-pods-per-node: '4' (from option) is not*numbers from 1 to 3"),
        (["--submariner-clusters=1"], "--submariner-clusters: '1' (from option) is not*whole numbers from 2 to 9"),
        (
            ["--submariner-clusters=3", "--submariner-context=a"],
            "--submariner-clusters 3 (from option) contradicts --submariner-provider kubeconfig*",
        ),
        (
            ["--submariner-nodes=a=b=c"],
            "--submariner-nodes: 'a=b=c' (from option) is not a label selector at 'a=b=c'; *",
        ),
        (
            ["--submariner-subctl=no-such-subctl"],
            "--submariner-subctl: 'no-such-subctl' (from option) cannot be used: it is not in PATH*./no-such-subctl*",
        ),
        (
            ["--submariner-diagnose=sometimes"],
            "*'sometimes' (from option) is not known; allowed are auto, always, never*",
        ),
        (["--submariner-results=."], "--submariner-results: * (from option) is a folder; name a file"),
        (
            ["--submariner-ssh-config=nowhere"],
            "--submariner-ssh-config: *nowhere' (from option) is not a file; check the path",
        ),
        (
            ["--submariner-subctl-junit=nowhere.xml"],
            "--submariner-subctl-junit: *nowhere.xml' (from option) is not a file*",
        ),
        (["--submariner-subctl-junit=no.xml"], "--submariner-subctl-junit: * (from option) cannot be used: *no.xml*"),
        (
            ["--submariner-provider=lab", "--submariner-context=a"],
            "--submariner-provider lab (from option) contradicts --submariner-context a (from option): *leave one out",
        ),
        (
            ["--submariner-lab=mine", "--submariner-kubeconfig=k"],
            "--submariner-lab mine (from option) contradicts --submariner-kubeconfig *: *one or the other",
        ),
        (
            ["--submariner-lab=mine", "--submariner-provider=kind"],
            "--submariner-provider kind (from option) contradicts --submariner-lab mine (from option): only provider lab*",
        ),
        (
            ["--submariner-provider=kubeconfig"],
            "*'kubeconfig' (from option) needs clusters; give --submariner-context CTX*",
        ),
        (
            ["--submariner-kubeconfig=a", "--submariner-kubeconfig=b", "--submariner-context=x"],
            "--submariner-kubeconfig is given 2 times and --submariner-context 1 times: give one file*",
        ),
        (
            ["--submariner-exec=pod", "--submariner-ssh-config=no.xml"],
            "--submariner-exec pod*contradicts --submariner-ssh-config*",
        ),
        (["--submariner-plan", "--submariner-cleanup"], "--submariner-plan yes*contradicts --submariner-cleanup yes*"),
        (
            ["--submariner-context=x", "--submariner-kubeconfig=nowhere"],
            "*'x' (from option) cannot be used: *nowhere: no such file",
        ),
        (
            ["--submariner-kubeconfig=no.xml"],
            "--submariner-kubeconfig: * cannot be used: kubeconfig *no.xml is not a kubeconfig*",
        ),
        (
            ["--submariner-kubeconfig=config", "--submariner-context=nort"],
            "*'nort' (from option) cannot be used: kubeconfig *config has no context 'nort'; it knows north, south; did you mean north?",
        ),
        (
            ["--submariner-kubeconfig=config", "--submariner-context=north", "--submariner-context=north"],
            "--submariner-context: 'north' (from option) is cluster c1 already; c2 must be another",
        ),
        (["--submariner-kubeconfig=config"], "*has no current context: name one of north, south"),
    ],
    ids=lambda value: " ".join(v.removeprefix("--submariner-") for v in value) if isinstance(value, list) else "",
)
def test_a_bad_value_is_one_line_and_exit_4(pytester: pytest.Pytester, arguments: list[str], said: str) -> None:
    (pytester.path / "no.xml").write_text("plain text\n")
    contexts = [{"name": name, "context": {"cluster": name, "user": name}} for name in ("north", "south")]
    (pytester.path / "config").write_text(str({"contexts": contexts}))
    pytester.makepyfile("def test_nothing(): pass")
    line = complaint(pytester.runpytest(*arguments))
    pytest.LineMatcher([line]).fnmatch_lines([f"ERROR: {said.replace('[', '[[]')}"])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "PROVIDER",
            "aws",
            "'aws' (from environment PYTEST_SUBMARINER_PROVIDER) is not known; allowed are lab, kubeconfig, kind",
        ),
        ("KEEP", "perhaps", "'perhaps' (from environment PYTEST_SUBMARINER_KEEP) is neither yes nor no*"),
        ("TIMEOUT", "5s", "'5s' (from environment PYTEST_SUBMARINER_TIMEOUT) is not a time*"),
    ],
)
def test_a_bad_environment_is_named(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"PYTEST_SUBMARINER_{name}", value)
    pytester.makepyfile("def test_nothing(): pass")
    pytest.LineMatcher([complaint(pytester.runpytest())]).fnmatch_lines([f"*: {said}"])


@pytest.mark.parametrize(
    "line", ["submariner_timeout = soon", "submariner_keep = perhaps", "submariner_provider = aws"]
)
def test_a_bad_ini_value_is_named_with_its_key(pytester: pytest.Pytester, line: str) -> None:
    pytester.makeini(f"[pytest]\n{line}\n")
    pytester.makepyfile("def test_nothing(): pass")
    said = complaint(pytester.runpytest())
    key, _, value = line.partition(" = ")
    assert f"ini {key}" in said
    assert value in said


@pytest.mark.parametrize("flag", ["--help", "--version", "--markers", "--fixtures"])
def test_a_broken_setting_does_not_stop_pytest_from_showing_what_it_knows(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, flag: str
) -> None:
    monkeypatch.setenv("PYTEST_SUBMARINER_PROVIDER", "aws")
    assert pytester.runpytest(flag).ret == 0


def test_kubeconfig_in_the_environment_decides_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/production")
    pytester.makepyfile(SHOW % ["provider"])
    pytester.runpytest("-s").stdout.fnmatch_lines(["*SHOWN {'provider': 'lab'}*"])


def test_relative_files_start_where_they_were_written(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nsubmariner_results = out/results.json\n")
    folder = pytester.mkdir("below")
    (folder / "test_it.py").write_text(SHOW % ["results"])
    pytester.chdir()
    root = pytester.path
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        from_ini = pytester.runpytest("-s", "-c", str(root / "tox.ini"))
        from_option = pytester.runpytest("-s", "--submariner-results=here.json")
    from_ini.stdout.fnmatch_lines([f"*SHOWN*{root}/out/results.json*"])
    from_option.stdout.fnmatch_lines([f"*SHOWN*{folder}/here.json*"])


def test_every_option_is_in_the_help_with_its_own_name(pytester: pytest.Pytester) -> None:
    from pytest_submariner.options import OPTIONS

    text: Any = pytester.runpytest("--help").stdout.str()
    for option in OPTIONS.values():
        assert option.flag in text
        assert f"{option.ini} (" in text
        assert option.help[0].isupper()
        assert not option.help.endswith(".")
