"""A scripted HTTP server in place of an API server: answers by method and path, in the order given."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any


@dataclass
class Answer:
    """One answer. `body` str or bytes is sent as it is, else as JSON; `drop` closes the connection without a word."""

    body: Any = None
    status: int = 200
    drop: bool = False
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Script:
    """What the server answers to `METHOD /path?query`, matched by the longest prefix; the last answer of a list
    repeats."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    seen: list[tuple[str, Any]] = field(default_factory=list)

    def on(self, request: str, *answers: Answer) -> None:
        self.answers[request] = list(answers)

    def next(self, request: str, body: Any) -> Answer:
        self.seen.append((request, body))
        for prefix in sorted(self.answers, key=len, reverse=True):
            if request.startswith(prefix):
                queue = self.answers[prefix]
                return queue.pop(0) if len(queue) > 1 else queue[0]
        return Answer("404 page not found\n", 404)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        answer = self.script.next(f"{self.command} {self.path}", body)
        if answer.drop:
            self.close_connection = True
            return
        data = (
            answer.body
            if isinstance(answer.body, bytes)
            else answer.body.encode()
            if isinstance(answer.body, str)
            else json.dumps(answer.body).encode()
        )
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Quiet."""
