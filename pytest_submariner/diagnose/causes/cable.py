"""Causes: Gateway and cable."""

from __future__ import annotations
