"""What causes ask of an observation: which way packets take, who drops or rewrites them, what objects promise. Pure."""
