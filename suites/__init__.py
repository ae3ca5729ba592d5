"""The conformance suites: what people run. `pytest suites` in a clone, `pytest --pyargs submariner_suites` once installed."""
