"""One command on one node, by whatever way leads there."""
