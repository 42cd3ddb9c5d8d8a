"""The command `srv dockerfile`: a Dockerfile for a folder, for every builder and for people to edit."""

from srv_dockerfile.command import allow_option, dockerfile

__all__ = ["allow_option", "dockerfile"]
