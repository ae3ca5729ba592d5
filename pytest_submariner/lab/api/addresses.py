"""Addresses and node ports of Services: which are free, and who has one (kubernetes:pkg/registry/core/service)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from itertools import chain

from pytest_submariner.lab.api.kinds import Kind
from pytest_submariner.lab.api.status import Cause, Object, StatusError, invalid

NODE_PORTS = range(30000, 32768)


class ServiceAddresses:
    """The cluster IPs of one cluster. The first address of the range is the API server's own Service.

    Dynamic addresses start at the 256th, as the genuine allocator leaves the lower band to those who name one.
    """

    def __init__(self, service_cidr: str) -> None:
        self._range = ipaddress.IPv4Network(service_cidr)
        self._taken: set[str] = set()
        self._ports: set[int] = set()
        band = min(256, max(16, self._range.num_addresses // 16))
        self._next_address = self._cycle(band)

    @property
    def first(self) -> str:
        return str(self._range[1])

    def allocate(self, kind: Kind, service: Object) -> None:
        """Fills in clusterIP, clusterIPs and node ports; 422 when what is asked for is taken or out of range."""
        spec, name = service["spec"], service["metadata"]["name"]
        if spec["type"] == "ExternalName":
            return
        asked = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if asked != "None":
            asked = self._take(kind, name, asked)
        spec["clusterIP"], spec["clusterIPs"] = asked, [asked]
        if spec["type"] in {"NodePort", "LoadBalancer"}:
            self._take_ports(kind, name, spec)

    def release(self, service: Object) -> None:
        spec = service.get("spec") or {}
        self._taken.discard(spec.get("clusterIP", ""))
        self._ports.difference_update(p["nodePort"] for p in spec.get("ports") or () if "nodePort" in p)

    def _take(self, kind: Kind, name: str, asked: str) -> str:
        if asked:
            why = self._unusable(asked)
            if why:
                text = f'Invalid value: ["{asked}"]: failed to allocate IP {asked}: {why}'
                raise invalid(kind, name, [Cause("FieldValueInvalid", "spec.clusterIPs", text)])
        else:
            asked = self._free_address()
        self._taken.add(asked)
        return asked

    def _unusable(self, asked: str) -> str:
        try:
            address = ipaddress.IPv4Address(asked)
        except ValueError:
            return "not a valid IPv4 address"
        if address not in self._range or address in {self._range[0], self._range[-1]}:
            return "the provided network does not match the current range"
        return "provided IP is already allocated" if asked in self._taken else ""

    def _free_address(self) -> str:
        for _ in range(self._range.num_addresses):
            address = next(self._next_address)
            if address not in self._taken:
                return address
        raise StatusError(500, "InternalError", "failed to allocate a serviceIP: range is full")

    def _cycle(self, band: int) -> Iterator[str]:
        size = self._range.num_addresses
        while True:
            for number in chain(range(band, size - 1), range(1, min(band, size - 1))):
                yield str(self._range[number])

    def _take_ports(self, kind: Kind, name: str, spec: Object) -> None:
        for i, port in enumerate(spec.get("ports") or ()):
            asked = port.get("nodePort")
            if asked and (why := self._unusable_port(asked)):
                cause = Cause("FieldValueInvalid", f"spec.ports[{i}].nodePort", f"Invalid value: {asked}: {why}")
                raise invalid(kind, name, [cause])
            port["nodePort"] = asked or self._free_port()
            self._ports.add(port["nodePort"])

    def _unusable_port(self, asked: int) -> str:
        if asked not in NODE_PORTS:
            return (
                f"provided port is not in the valid range. The range of valid ports is {NODE_PORTS[0]}-{NODE_PORTS[-1]}"
            )
        return "provided port is already allocated" if asked in self._ports else ""

    def _free_port(self) -> int:
        for port in NODE_PORTS:
            if port not in self._ports:
                return port
        raise StatusError(500, "InternalError", "failed to allocate a nodePort: range is full")

    def restore(self, service: Object) -> None:
        """Takes back what `release` gave away."""
        spec = service.get("spec") or {}
        if spec.get("clusterIP") not in {None, "", "None"}:
            self._taken.add(spec["clusterIP"])
        self._ports.update(p["nodePort"] for p in spec.get("ports") or () if "nodePort" in p)
