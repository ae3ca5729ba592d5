"""No cause suspects anything where all is well."""

from __future__ import annotations

import pytest
from observations import healthy, suspicions

from pytest_submariner.diagnose.catalogue import CAUSES
from pytest_submariner.diagnose.cause import Cause
from pytest_submariner.diagnose.observation import Observation

HEALTHY = {
    "2 clusters": healthy(),
    "3 clusters": healthy(clusters=3, workers=1),
    "single-node clusters": healthy(workers=0),
    "passive gateways": healthy(gateways=2),
    "libreswan": healthy(cable="libreswan"),
    "a node unread": healthy(skip=("c1-w1", "c2-gw")),
}


@pytest.mark.parametrize("seen", HEALTHY.values(), ids=HEALTHY)
@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.id)
def test_silent_in_health(cause: Cause, seen: Observation) -> None:
    assert suspicions(seen, cause) == []


@pytest.mark.parametrize("seen", HEALTHY.values(), ids=HEALTHY)
def test_the_builder_makes_what_the_model_demands(seen: Observation) -> None:
    assert [str(d) for sight in seen.every() for d in sight.differences] == []
    assert len(seen.flows) > 40
    assert seen.failing == ()
