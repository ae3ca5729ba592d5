"""What the API of a cluster holds for a diagnosis, read without secrets."""
