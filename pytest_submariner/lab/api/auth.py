"""Who asks, by bearer token, and the review kinds that answer what they may do: everything."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.status import Object, unauthorized

OPEN_PATHS = ("/healthz", "/readyz", "/livez", "/version")
_EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}


def user_of(tokens: Mapping[str, str], headers: Mapping[str, str], path: str) -> str:
    """The user's name; StatusError 401 without a known token, but health and version are for all."""
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and (user := tokens.get(token.strip())):
        return user
    if not scheme and (path.rstrip("/") in OPEN_PATHS or path.startswith(("/healthz/", "/readyz/", "/livez/"))):
        return "system:anonymous"
    raise unauthorized()


def review(kind: Kind, body: Object, user: str) -> Object:
    """The answer to a review: whoever has a token may do everything."""
    answer = {**body, "kind": kind.kind, "apiVersion": kind.api_version, "metadata": body.get("metadata") or {}}
    if kind.kind == "SelfSubjectReview":
        answer["status"] = {"userInfo": {"username": user, "groups": ["system:masters", "system:authenticated"]}}
    elif kind.kind == "SelfSubjectRulesReview":
        non_resource = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
        answer["status"] = {"resourceRules": [_EVERYTHING], "nonResourceRules": non_resource, "incomplete": False}
    else:
        answer["status"] = {"allowed": True}
    return answer
