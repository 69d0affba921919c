"""The list of mutations, held in step with the code; `make mutate` takes them one by one.

Not among the tests that a mutation has to be caught by: these would notice any.
"""

import ast

import pytest

from tests.support.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_a_mutation_changes_one_place_and_leaves_a_module_that_can_be_read(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text()
    assert text.count(mutation.old) == 1
    assert all((ROOT / tests).exists() for tests in mutation.tests)
    if mutation.file.endswith(".py"):
        ast.parse(text.replace(mutation.old, mutation.new))


def test_mutations_are_told_apart_by_their_names() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
