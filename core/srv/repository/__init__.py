"""The repository: where model settings come from."""

from srv.repository.repository import FailedModel, Found, Repository

__all__ = ["FailedModel", "Found", "Repository"]
