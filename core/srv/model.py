"""The package in which the modules of models stand, as `srv.model.<model>.<module>`; it has none of its own."""

from __future__ import annotations

from srv.models.model_imports import install_finders

__path__: list[str] = []

# At import, because a child process knows nothing of srv but this name, in a pickle.
install_finders()
