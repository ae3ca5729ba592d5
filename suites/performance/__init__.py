"""Throughput and latency between clusters beside those inside a cluster. Loads the clusters: only when asked for."""
