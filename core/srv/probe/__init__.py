"""Probing plugins: each is imported in a child process that may hang, crash or print without harm."""
