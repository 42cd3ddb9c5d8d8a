"""The command `srv deploy`: prints what runs an image with Docker Compose, Kubernetes or KServe."""

from srv_deploy.command import deploy

__all__ = ["deploy"]
