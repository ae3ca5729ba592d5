"""Is on the nodes what Submariner should have made there? Read-only; asks no path."""
