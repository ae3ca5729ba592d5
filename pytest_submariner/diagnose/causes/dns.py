"""Causes: DNS and service discovery."""

from __future__ import annotations
