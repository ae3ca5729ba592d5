"""Causes: Underlay and cloud."""

from __future__ import annotations
