import pytest

# A failed assertion of these helpers shows its values, as that of a test does.
pytest.register_assert_rewrite("tests.cli.programs")
