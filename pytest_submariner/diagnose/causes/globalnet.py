"""Causes: Globalnet."""

from __future__ import annotations
