"""Properties of the domain and of committing, whatever is drawn."""

import pytest

pytest.register_assert_rewrite("tests.property.committing")
