"""The patch types by media type: JSON patch (RFC 6902), JSON merge patch (RFC 7396), strategic merge; apply lives in `apply.py`."""

from __future__ import annotations

from typing import Any

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.schema import kind_type
from pytest_submariner.lab.api.status import Object, bad_request, unprocessable, unsupported_media
from pytest_submariner.lab.api.strategic import strategic_merge

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


def accepted(kind: Kind) -> tuple[str, ...]:
    """Custom kinds have no types to merge by."""
    return (JSON_PATCH, MERGE_PATCH, *(() if kind.custom else (STRATEGIC_PATCH,)), APPLY_PATCH)


def patched(kind: Kind, media_type: str, patch: Any, current: Object) -> Object:
    """`current` (a private copy, may be changed) after the patch; StatusError 415 for a type the kind does not take, 422 for a
    failed JSON patch, 400 for a patch of the wrong shape."""
    if media_type not in accepted(kind):
        raise unsupported_media(accepted(kind))
    if media_type == JSON_PATCH:
        return _json_patch(patch, current)
    if not isinstance(patch, dict):
        raise bad_request("error decoding patch: json: cannot unmarshal into a map")
    if media_type == STRATEGIC_PATCH:
        merged: Object = strategic_merge(current, patch, kind_type(kind.api_version, kind.kind))
    else:
        merged = merge(current, patch)
    if not isinstance(merged.get("metadata"), dict):
        raise bad_request("the patch removes the object's metadata")
    return merged


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396: null removes, objects merge, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def _json_patch(patch: Any, current: Object) -> Object:
    import jsonpatch

    if not isinstance(patch, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    try:
        result: Object = jsonpatch.JsonPatch(patch).apply(current)
    except jsonpatch.JsonPatchTestFailed as why:
        raise unprocessable("the server rejected our request due to an error in our request") from why
    except jsonpatch.InvalidJsonPatch as why:
        raise bad_request(f"error decoding patch: {why}") from why
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as why:
        raise unprocessable("the server rejected our request due to an error in our request") from why
    if not isinstance(result, dict) or not isinstance(result.get("metadata"), dict):
        raise bad_request("the patch removes the object's metadata")
    return result
