"""Causes: The CNI."""

from __future__ import annotations
