"""Causes: Host and kernel."""

from __future__ import annotations
