"""Why paths fail: what was observed, the known causes and what proves them, and which cause explains which path.

Nothing here imports the lab, and nothing is read that a real cluster lacks."""
