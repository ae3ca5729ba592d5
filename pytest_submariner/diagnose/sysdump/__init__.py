"""One archive with what a diagnosis saw, to be read by people and diagnosed again elsewhere."""
