"""Serves MLServer's classes with srv, unchanged. MLServer is imported by the models that need it, and not before."""
