"""Environments of images that locks, projects and apt.txt describe."""
