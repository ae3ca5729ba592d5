"""Who logs in on the lab's nodes, and the files that let them."""

from __future__ import annotations

import os
import pwd


def user_name() -> str:
    """Who logs in on the nodes: the user the lab runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "lab"


def account_files() -> dict[str, bytes]:
    """/etc/passwd and the like of the nodes: a usable shell and an unlocked account, whatever the host says of this user."""
    uid, gid = os.geteuid(), os.getegid()
    passwd = f"{user_name()}:x:{uid}:{gid}:lab:/tmp:/bin/sh\nsshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
    if uid:
        passwd += "root:x:0:0:root:/root:/bin/sh\n"
    files = {"/etc/passwd": passwd.encode() + b"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"}
    if uid == 0:
        files["/etc/shadow"] = b"root:*:1::::::\nsshd:!:1::::::\n"
    return files


INSIDE = "/run/lab"
"""Where nodes see the lab's folder, wherever it is on the host."""
