"""Asking paths: the agents that run in probe pods, the conversation with them, and what their answers mean."""
