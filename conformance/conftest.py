"""What pytest has to know before it collects the tests of the conformance instrument."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker of the long forms, so that this folder can be tested alone."""
    config.addinivalue_line("markers", "slow: takes many seconds")
