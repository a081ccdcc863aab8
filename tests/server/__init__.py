import pytest

# Show the values of a failed assertion in these helpers, as in a test.
pytest.register_assert_rewrite("tests.server.dialogue")
