"""Paths between clusters: what Submariner is for."""
