"""SSH: whom it trusts, how it gets there, and how it says no."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

import pytest
from private_sshd import PrivateSshd, keygen

from pytest_submariner.errors import ExitStatusLost, NodeUnreachable, TopologyError
from pytest_submariner.kube.errors import AccessDenied
from pytest_submariner.transport.ssh import SshTransport


def refusal(kind: type[Exception], config: str, node: str = "node") -> str:
    with pytest.raises(kind) as caught:
        SshTransport(node, config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_host_key_is_refused_with_what_to_do(sshd: PrivateSshd, tmp_path: Path) -> None:
    config = sshd.write_config("unknown", UserKnownHostsFile=str(tmp_path / "none"))
    said = refusal(AccessDenied, config)
    assert "SHA256:" in said
    assert f"ssh-keyscan -p {sshd.port} 127.0.0.1 >> {tmp_path / 'none'}" in said
    assert not (tmp_path / "none").exists()


def test_what_the_message_says_to_do_helps(sshd: PrivateSshd, tmp_path: Path) -> None:
    known = tmp_path / "known"
    scanned = subprocess.run(["ssh-keyscan", "-p", str(sshd.port), "127.0.0.1"], capture_output=True, check=True)
    known.write_bytes(scanned.stdout)
    transport = SshTransport("node", sshd.write_config("scanned", UserKnownHostsFile=str(known)))
    assert transport.run(["true"]).exit_status == 0
    transport.close()


def test_a_changed_host_key_is_refused(sshd: PrivateSshd, tmp_path: Path) -> None:
    known = tmp_path / "known"
    known.write_text(f"[127.0.0.1]:{sshd.port} {keygen(tmp_path / 'other')}")
    said = refusal(AccessDenied, sshd.write_config("changed", UserKnownHostsFile=str(known)))
    assert "another host key than known_hosts has (ssh-ed25519 SHA256:" in said
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in said


def test_accept_new_takes_a_new_key_but_writes_nothing(sshd: PrivateSshd, tmp_path: Path) -> None:
    config = sshd.write_config("new", UserKnownHostsFile=str(tmp_path / "none"), StrictHostKeyChecking="accept-new")
    transport = SshTransport("node", config)
    assert transport.run(["true"]).exit_status == 0
    assert not (tmp_path / "none").exists()
    transport.close()


def test_a_key_nobody_knows_is_not_let_in(sshd: PrivateSshd, tmp_path: Path) -> None:
    keygen(tmp_path / "stranger")
    said = refusal(AccessDenied, sshd.write_config("stranger", IdentityFile=str(tmp_path / "stranger")))
    assert said.endswith(f"in with {tmp_path / 'stranger'}")


def test_a_key_with_a_passphrase_needs_the_agent(sshd: PrivateSshd, tmp_path: Path) -> None:
    keygen(tmp_path / "locked")
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", tmp_path / "locked"], check=True)
    assert "ssh-add" in refusal(AccessDenied, sshd.write_config("locked", IdentityFile=str(tmp_path / "locked")))


def test_nobody_listens(sshd: PrivateSshd) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        said = refusal(NodeUnreachable, sshd.write_config("closed", Port=port))
    assert said == f"node (127.0.0.1 port {port}) cannot be reached: Connection refused"


def test_something_else_listens(sshd: PrivateSshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        thread = threading.Thread(
            target=lambda: server.accept()[0].sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"), daemon=True
        )
        thread.start()
        config = sshd.write_config("other", Port=str(port), ConnectTimeout="1")
        assert "cannot be reached by ssh" in refusal(NodeUnreachable, config)


def test_the_way_through_a_jump_host(sshd: PrivateSshd) -> None:
    """The target's address only makes sense on the jump host; here both are the same machine."""
    config = sshd.write_config(
        "jump",
        "Host target\n  ProxyJump node\n  HostName localhost",
        f"  Port {sshd.port}\n  HostKeyAlias x\n  IdentityFile {sshd.identity}\n  User root\n  StrictHostKeyChecking "
        f"accept-new",
        f"  UserKnownHostsFile {sshd.known_hosts}",
    )
    transport = SshTransport("target", config)
    answer = transport.run(["sh", "-c", "echo $SSH_CONNECTION"])
    assert answer.exit_status == 0
    assert len(answer.text.split()) == 4
    transport.close()


def test_a_jump_host_that_cannot_reach_the_node(sshd: PrivateSshd) -> None:
    config = sshd.write_config("jump-fails", "Host target\n  ProxyJump node\n  HostName 127.0.0.1\n  Port 1")
    assert "target: node cannot reach 127.0.0.1 port 1" in refusal(NodeUnreachable, config, "target")


def test_jumps_in_a_circle(sshd: PrivateSshd) -> None:
    config = sshd.write_config("circle", "Host a\n  ProxyJump b\nHost b\n  ProxyJump a")
    assert "in a circle" in refusal(NodeUnreachable, config, "a")


def test_a_node_the_file_does_not_name(sshd: PrivateSshd) -> None:
    config = sshd.write_config("names", "Host *\n  User nobody")
    assert refusal(NodeUnreachable, config, "c9-w9") == f"{config} has no Host c9-w9"


def test_a_pattern_names_nodes(sshd: PrivateSshd, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host c1-*\n  HostName 127.0.0.1\n  Port 1\n")
    assert "cannot be reached: Connection refused" in refusal(NodeUnreachable, str(config), "c1-w1")


def test_an_unreadable_ssh_config(tmp_path: Path) -> None:
    said = refusal(TopologyError, str(tmp_path / "none"))
    assert said == f"ssh_config {tmp_path / 'none'} cannot be read: No such file or directory"


def test_an_ssh_config_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("{]]\n")
    assert f"ssh_config {tmp_path / 'config'} is not an ssh_config" in refusal(TopologyError, str(tmp_path / "config"))


def test_a_lost_connection_is_made_again(sshd: PrivateSshd) -> None:
    transport = SshTransport("node", sshd.write_config("again"))
    assert transport._connection is not None
    transport._connection.transport.sock.close()
    transport._connection.transport.join(5)
    assert transport.run(["true"]).exit_status == 0
    transport.close()


def test_a_connection_that_dies_during_a_command_is_noticed(sshd: PrivateSshd) -> None:
    transport = SshTransport("node", sshd.write_config("dies"))
    assert transport._connection is not None
    sock = transport._connection.transport.sock
    threading.Timer(1, sock.shutdown, (socket.SHUT_RDWR,)).start()
    with pytest.raises(ExitStatusLost, match="ended after 6 bytes without its exit status"):
        transport.run(["sh", "-c", "echo early; sleep 5"], timeout=20)
    transport.close()


def test_a_closed_transport_stays_closed(sshd: PrivateSshd) -> None:
    transport = SshTransport("node", sshd.write_config("closed"))
    transport.close()
    with pytest.raises(NodeUnreachable, match="closed"):
        transport.run(["true"])
