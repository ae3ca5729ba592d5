"""Every ordered pair of nodes, when `--submariner-mesh` asks for it."""
