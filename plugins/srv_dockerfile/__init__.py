"""The command `srv dockerfile`: a Dockerfile for a folder, that any builder takes and any person can take over."""

from srv_dockerfile.command import dockerfile

__all__ = ["dockerfile"]
