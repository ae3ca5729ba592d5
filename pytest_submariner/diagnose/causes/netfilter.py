"""Causes: Packet filters and kube-proxy."""

from __future__ import annotations
