"""exec and logs as real clients ask for them, over TLS: kubectl by SPDY and websocket, the Python client by websocket v4 and v5."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import signal
import struct
import termios
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from kubelet_fakes import World, pod_api

from pytest_submariner.lab.kubelet import pipes

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not in PATH"),
]
BIG = 5 << 20


@dataclass
class Answer:
    code: int
    out: bytes
    err: bytes


@dataclass
class Client:
    """`kubectl exec` into one pod; `spdy` decides how."""

    world: World
    pod: str
    kubeconfig: Path
    spdy: bool

    async def start(self, *args: str, stdin: bool = False, terminal: int | None = None) -> asyncio.subprocess.Process:
        env = {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": str(not self.spdy).lower(),
            "HOME": str(self.world.folder),
        }
        pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        kubectl = shutil.which("kubectl") or "kubectl"
        streams = (pipe if stdin else null, pipe, pipe) if terminal is None else (terminal, terminal, terminal)
        return await asyncio.create_subprocess_exec(
            kubectl, *args, env=env, stdin=streams[0], stdout=streams[1], stderr=streams[2]
        )

    async def exec(self, *argv: str, stdin: bytes | None = None, flags: tuple[str, ...] = ()) -> Answer:
        flags = (*flags, "-i") if stdin is not None else flags
        process = await self.start("exec", *flags, self.pod, "--", *argv, stdin=stdin is not None)
        out, err = await asyncio.wait_for(process.communicate(stdin), 60)
        assert process.returncode is not None
        return Answer(process.returncode, out, err)


@pytest_asyncio.fixture
async def kubectl(world: World) -> AsyncIterator[Client]:
    async with pod_api(world) as kubeconfig:
        name = await world.shell("sleep 1000", container={"env": [{"name": "COLOUR", "value": "blue"}]})
        await world.phase(name, "Running")
        yield Client(world, name, kubeconfig, spdy=False)


@pytest.fixture(params=["spdy", "websocket"])
def client(kubectl: Client, request: pytest.FixtureRequest) -> Client:
    return replace(kubectl, spdy=request.param == "spdy")


@pytest.mark.parametrize("code", [0, 1, 7, 255])
async def test_exit_code(client: Client, code: int) -> None:
    answer = await client.exec("sh", "-c", f"exit {code}")
    assert answer.code == code


async def test_killed_by_a_signal(client: Client) -> None:
    answer = await client.exec("sh", "-c", "kill -TERM $$")
    assert answer.code == 128 + signal.SIGTERM


async def test_environment_is_the_containers(client: Client) -> None:
    answer = await client.exec("sh", "-c", "echo $COLOUR $KUBERNETES_SERVICE_HOST; pwd")
    assert answer.out == b"blue 100.8.0.1\n/\n"


async def test_both_streams_whole(client: Client) -> None:
    answer = await client.exec("sh", "-c", f"head -c {BIG} /dev/zero & head -c {BIG} /dev/zero >&2; wait")
    assert answer.code == 0
    assert (len(answer.out), len(answer.err)) == (BIG, BIG)


async def test_stdin_to_its_end(client: Client) -> None:
    data = bytes(range(256)) * (BIG // 256)
    answer = await client.exec("sha256sum", stdin=data)
    assert answer.out.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_stdin_that_nobody_reads(client: Client) -> None:
    answer = await client.exec("sh", "-c", "exec <&-; echo done", stdin=b"x" * BIG)
    assert (answer.code, answer.out) == (0, b"done\n")


async def test_bytes_that_are_not_text(client: Client) -> None:
    answer = await client.exec("printf", r"\377\376\000\200")
    assert answer.out == b"\xff\xfe\x00\x80"


async def test_missing_program(client: Client) -> None:
    answer = await client.exec("no-such-program")
    assert answer.code == 1
    assert b'exec: "no-such-program": executable file not found in $PATH' in answer.err
    assert b"Internal error occurred" in answer.err


async def test_missing_path(client: Client) -> None:
    answer = await client.exec("/no/such/program")
    assert b"stat /no/such/program: no such file or directory" in answer.err


async def test_container_that_ended(client: Client) -> None:
    name = await client.world.shell("exit 1", restartPolicy="Always")
    await client.world.api.until(lambda: "CrashLoopBackOff" in str(client.world.state(name)))
    process = await client.start("exec", name, "--", "true")
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b'container not found ("c0")' in err


async def test_output_outlives_the_first_process(client: Client) -> None:
    answer = await client.exec("sh", "-c", "(sleep 0.2; echo late) & echo early")
    assert answer.out == b"early\nlate\n"


async def test_daemon_stays(client: Client) -> None:
    answer = await client.exec("sh", "-c", "sleep 333 >/dev/null 2>&1 & echo $!")
    os.kill(int(answer.out), signal.SIGKILL)  # ProcessLookupError if it is not there


async def test_terminal(client: Client) -> None:
    master, slave = os.openpty()
    os.set_blocking(master, False)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
    script = 'until [ "$(stty size)" = "44 99" ]; do sleep 0.01; done; echo sized; read word; echo got $word $TERM'
    process = await client.start("exec", "-it", client.pod, "--", "sh", "-c", script, terminal=slave)
    os.close(slave)

    async def until(words: bytes) -> None:
        text = b""
        while words not in text:
            text += await pipes.read(master)

    async with asyncio.timeout(20):
        await until(b"sized")
        os.write(master, b"this\n")
        await until(b"got this xterm")
        assert await process.wait() == 0
    os.close(master)


@pytest.mark.parametrize("script", ["sleep 1000", "yes", "exec sleep 1000 <&1"])
async def test_client_gone_ends_the_process(client: Client, script: str) -> None:
    process = await client.start("exec", "-i", client.pod, "--", "sh", "-c", f"echo here; {script}", stdin=True)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"here\n"
    assert len(client.world.spawner.alive()) == 2
    process.kill()
    await client.world.api.until(lambda: len(client.world.spawner.alive()) == 1, 5)
    await process.communicate()


async def test_ten_at_once(client: Client) -> None:
    async def one(number: int) -> Answer:
        return await client.exec("sh", "-c", f"echo {number}; head -c 100000 /dev/zero; exit {number}")

    answers = await asyncio.gather(*(one(n) for n in range(10)))
    assert [a.code for a in answers] == list(range(10))
    assert [a.out for a in answers] == [b"%d\n" % n + bytes(100000) for n in range(10)]


# Websocket, byte by byte.


@pytest_asyncio.fixture(params=["v4.channel.k8s.io", "v5.channel.k8s.io"])
async def websocket(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A raw websocket to an exec: `await websocket("stdin=true", *argv)`."""
    import aiohttp
    import yaml

    async with pod_api(world) as kubeconfig, aiohttp.ClientSession() as session:
        name = await world.shell("sleep 1000")
        await world.phase(name, "Running")
        base = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]

        async def connect(flags: str, *argv: str) -> Any:
            query = "&".join([flags, "stdout=true", *(f"command={word}" for word in argv)])
            url = f"{base}/api/v1/namespaces/ns/pods/{name}/exec?{query}"
            return await session.ws_connect(url, protocols=(request.param,), ssl=False, max_msg_size=0)

        yield connect


async def test_websocket_greets_and_ends_with_a_status(websocket: Any) -> None:
    ws = await websocket("stderr=true", "echo", "hello")
    messages = [message.data async for message in ws]
    assert messages[0] == b"\x01"
    assert messages[1] == b"\x01hello\n"
    assert messages[-1] == b'\x03{"metadata": {}, "status": "Success"}'
    assert ws.close_code == 1000


async def test_only_v5_tells_the_end_of_stdin(websocket: Any, world: World) -> None:
    ws = await websocket("stdin=true", "cat")
    await ws.send_bytes(b"\x00words")
    await ws.send_bytes(b"\xff\x00")
    received = [(await ws.receive()).data, (await ws.receive()).data]
    assert received == [b"\x01", b"\x01words"]
    if ws.protocol.startswith("v5"):
        assert b"Success" in (await ws.receive()).data
    else:
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.2)
    await ws.close()
    await world.api.until(lambda: len(world.spawner.alive()) == 1, 5)


async def test_text_messages_are_input_too(websocket: Any) -> None:
    ws = await websocket("stdin=true", "head", "-c5")
    await ws.send_str("\x00hello")
    assert [(await ws.receive()).data for _ in range(2)] == [b"\x01", b"\x01hello"]


async def test_terminal_has_the_size_of_the_clients(websocket: Any) -> None:
    ws = await websocket("stdin=true&tty=true", "sh")
    await ws.receive()
    await ws.send_bytes(b'\x04{"Width":77,"Height":33}')
    await ws.send_bytes(b"\x00stty size; tty >/dev/null && exit 5\n")
    text, status = b"", b""
    async for message in ws:
        if message.data[0] == 3:
            status = message.data
        text += message.data[1:]
    assert b"33 77" in text
    assert b'"message": "5"' in status


async def test_python_client(world: World) -> None:
    from kubernetes import client, config
    from kubernetes.stream import stream

    async with pod_api(world) as kubeconfig:
        name = await world.shell("sleep 1000")
        await world.phase(name, "Running")

        new_client: Any = config.new_client_from_config

        def ask() -> tuple[int, str]:
            api = client.CoreV1Api(new_client(str(kubeconfig)))
            ws = stream(
                api.connect_get_namespaced_pod_exec,
                name,
                "ns",
                command=["sh", "-c", "echo out; echo err >&2; exit 9"],
                stdout=True,
                stderr=True,
                _preload_content=False,
            )
            ws.run_forever(timeout=20)
            return ws.returncode, ws.read_all()

        code, text = await asyncio.to_thread(ask)
        assert code == 9
        assert sorted(text.split()) == ["err", "out"]


async def test_logs_of_kubectl(kubectl: Client) -> None:
    name = await kubectl.world.shell("for n in 1 2 3; do echo line $n; done; echo oops >&2; printf rest")
    await kubectl.world.phase(name, "Succeeded")

    async def logs(*flags: str) -> list[bytes]:
        process = await kubectl.start("logs", name, *flags)
        out, err = await process.communicate()
        assert process.returncode == 0, err
        return out.splitlines()

    assert sorted(await logs()) == [b"line 1", b"line 2", b"line 3", b"oops", b"rest"]
    assert len(await logs("--tail=2")) == 2
    assert all(line.split()[0].endswith(b"Z") for line in await logs("--timestamps"))
    assert await logs("--since-time=2999-01-01T00:00:00Z") == []
    process = await kubectl.start("logs", name, "--previous")
    _, err = await process.communicate()
    assert b'previous terminated container "c0" in pod' in err
    assert b"BadRequest" in err


async def test_followed_log_ends_with_the_container(kubectl: Client) -> None:
    go = kubectl.world.folder / "go"
    name = await kubectl.world.shell(f"echo one; while [ ! -e {go} ]; do sleep 0.01; done; echo two")
    await kubectl.world.phase(name, "Running")
    process = await kubectl.start("logs", "-f", name)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"one\n"
    go.touch()
    out, _ = await asyncio.wait_for(process.communicate(), 10)
    assert out == b"two\n"
