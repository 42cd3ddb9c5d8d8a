"""Plugins imported on trial, in a child process that may hang, crash or print whatever it likes."""
