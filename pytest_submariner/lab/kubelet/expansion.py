"""`$(NAME)` in commands, arguments and environment values (`kubernetes:third_party/forked/golang/expansion`)."""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(\$|\([^)]*\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Known references become their value, unknown ones stay as they are, `$$` is a literal `$`: `$$(A)` gives `$(A)`.

    So a shell's `$(seq 5)` survives, as long as no variable has the name `seq 5`.
    """
    return _REFERENCE.sub(lambda match: _value(match[1], variables), text)


def _value(token: str, variables: Mapping[str, str]) -> str:
    if token == "$":
        return "$"
    return variables.get(token[1:-1], f"${token}")
