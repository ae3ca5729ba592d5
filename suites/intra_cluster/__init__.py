"""Paths inside a cluster: the CNI and kube-proxy carry them, Submariner must not stand in their way."""
