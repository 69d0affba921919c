"""Profiles on a real DynamoDB engine: the newest stays, and none stays under an id that was replaced."""

from functools import partial
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from shared.domain.profiles import FENCE, KeptProfile
from shared.parallel import ThreadPool
from shared.retries import Backoff
from shared.truth.profiles import Profiles
from shared.truth.tables import Tables, create_tables

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "profiles-of-players"
OFFERED = (KeptProfile(5, '{"name":"é"}'), KeptProfile(5, '{"name":"z"}'), KeptProfile(7, ""), KeptProfile(6, "zz"))


@pytest.fixture(scope="module")
def profiles(dynamodb: "DynamoDBClient") -> Profiles:
    create_tables(dynamodb, Tables(registry=TABLE))
    return Profiles(dynamodb, TABLE, Backoff())


def test_the_newest_stays_in_every_order_and_of_many_writers(profiles: Profiles) -> None:
    for number, order in enumerate(permutations(OFFERED)):
        for one in (*order, *order):
            kept = profiles.write("cup", f"u{number}", one)
            assert kept.value >= one.value
        assert profiles.read("cup", [f"u{number}"]) == {f"u{number}": KeptProfile(7, "")}
    offered = [KeptProfile(number % 17, "x") for number in range(60)]
    ThreadPool(8)([partial(profiles.write, "cup", "many", one) for one in offered])
    assert profiles.read("cup", ["many"]) == {"many": KeptProfile(16, "x")}
    for order in permutations(OFFERED[:2]):
        for one in order:
            profiles.write("tie", str(order), one)
        assert profiles.read("tie", [str(order)])[str(order)] == OFFERED[0], "é follows z in UTF-8"


def test_players_and_scores_are_kept_apart_and_more_than_a_batch_is_read(profiles: Profiles) -> None:
    ids = [f"p-{number}" for number in range(120)]
    for number in range(0, 120, 2):
        profiles.write("big", ids[number], KeptProfile(number, "x"))
    assert profiles.read("big", ids) == {ids[number]: KeptProfile(number, "x") for number in range(0, 120, 2)}
    assert profiles.read("big.5", ids) == {}
    assert profiles.read("big", []) == {}


def test_a_fence_forgets_and_refuses_until_it_is_cleared(profiles: Profiles) -> None:
    profiles.write("cup", "bob", KeptProfile(5, "x"))
    for _ in range(2):
        profiles.fence("cup", "bob")
        assert profiles.write("cup", "bob", KeptProfile(2**53, "late")) == FENCE
    for _ in range(2):
        profiles.clear("cup", "bob")
        assert profiles.read("cup", ["bob"]) == {}
