"""Causes: Routes and rules."""

from __future__ import annotations
