"""Comparison with `subctl verify`: read its JUnit report, map its specs to path ids, tell where the two agree."""
