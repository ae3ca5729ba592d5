"""Causes: Kubernetes objects and control plane."""

from __future__ import annotations
