"""What all tests share: a test that says nothing else is a unit test."""

import pytest

KINDS = {"e2e", "installed", "fuzz", "hostile", "images"}


def pytest_collection_modifyitems(items):
    for item in items:
        if not KINDS.intersection(mark.name for mark in item.iter_markers()):
            item.add_marker(pytest.mark.unit)
