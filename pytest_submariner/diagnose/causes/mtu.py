"""Causes: MTU, fragmentation, offload."""

from __future__ import annotations
