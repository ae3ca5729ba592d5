"""The overview: one HTML file of a run that opens from disk and asks no host."""
