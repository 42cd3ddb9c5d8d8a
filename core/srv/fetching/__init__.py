"""Fetching: artifacts elsewhere are copied into a cache that all workers and servers of a user share."""
