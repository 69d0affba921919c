"""Requests made up from the contract, right ones and wrong ones, against the API on real servers."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from math import ceil
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from msgspec.structs import replace
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from functions.api.app import create_app
from infra.contract import contract
from infra.local import resources
from infra.local.config import Config, Ports
from infra.local.servers import free_port, ministack
from shared import settings
from shared.admin.redrive import Redriven
from shared.assembly import Assembly, now_ms
from shared.domain.calendar import ALL_TIME, Day, Window, daily, day_of, format_day
from shared.domain.events import format_instant
from shared.domain.periods import Period
from shared.domain.records import Record, Source
from shared.domain.rules import Aggregation, Leaderboard
from shared.domain.tiers import Tier, TierRule
from shared.messaging.topic import Outgoing
from shared.truth.export_jobs import ExportRequest
from shared.truth.final_results import FinalResult
from tests.support.closing import close

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONTRACT = contract()["paths"]
BATCHES = "/leaderboards/{id}/scores"
OPERATIONS = [(path, method) for path, methods in CONTRACT.items() for method in methods]
TAKE_SOMETHING = [one for one in OPERATIONS if {"parameters", "requestBody"} & set(CONTRACT[one[0]][one[1]])]
ABREAST = 8
"""Requests that are under way at a time, each in a thread with an event loop of its own."""
EXAMPLES = ceil(int(os.environ.get("EXAMPLES", "1500")) / len(TAKE_SOMETHING))
"""Requests for each operation; of the others there is but one."""
BOARD, PERIOD = "autumn-cup", "launch"
REHEARSAL = "rehearsal"
"""A board without results, for what those forbid."""
_offsets = count()
USERS = ("u-42", "a/b", "Zoë 🎮", "x/events")


@pytest.fixture(scope="module")
def assembly(
    cache_url: str, dynamodb_url: str, dynamodb: "DynamoDBClient", tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Assembly]:
    """All parts on real servers, with a leaderboard that the contract's examples name."""
    ports = Ports(cache=_port(cache_url), dynamodb=_port(dynamodb_url), aws=free_port())
    environment = Config(Path("state"), Path("packages"), ports).environment()
    with ministack(tmp_path_factory.mktemp("aws"), ports.aws), pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr("functions.api.routes.scores.WAIT_DEFAULT_MS", 0)
        patch.setattr("functions.api.conditional.WAIT_MAX_S", 0)  # a wait is asked for, but nobody has the time
        resources.create(environment, topic=False)
        made = Assembly(settings.load(environment))
        made.redis.flushall()
        made.__dict__["topic"] = SimpleNamespace(send=partial(_ingested, made))
        made.__dict__["redrive"] = SimpleNamespace(run=lambda *_: Redriven())  # there is no broker to send to
        _fill(made)
        yield made


def _ingested(assembly: Assembly, records: Sequence[Outgoing], wait_s: float) -> list[str | None]:
    """What the topic's trigger does with records that are sent."""
    assert wait_s > 0
    at_ms = now_ms()
    assembly.ingest.ingest(
        Record(Source("score-events", 1, next(_offsets), at_ms), one.key, one.value) for one in records
    )
    return [None] * len(records)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.fixture(autouse=True)
def _there(assembly: Assembly) -> None:
    """Whatever an earlier test has deleted is there again."""
    board = assembly.registry.leaderboard(BOARD)
    if board is not None and board.archived:
        assembly.registry.save(replace(board, archived=False, version=board.version + 1))
        assembly.leaderboards.read(BOARD)
    assembly.registry.save_period(BOARD, period(), before=assembly.registry.period(BOARD, PERIOD))


def period() -> Period:
    today = day_of(now_ms())
    return Period(id=PERIOD, name="Launch", first=Day(today - 1), last=Day(today + 1))


def _fill(assembly: Assembly) -> None:
    tiers = (Tier("gold", TierRule.TOP_N, 1), Tier("silver", TierRule.MIN_SCORE, 500))
    board = Leaderboard(id=BOARD, name="Autumn cup", aggregation=Aggregation.SUM, tiers=tiers, filters=("country",))
    assembly.registry.save(board)
    assembly.registry.save(replace(board, id=REHEARSAL))
    assembly.window_builder.rebuild_leaderboard(board)
    records = []
    for number, user_id in enumerate(USERS * 3):
        at_ms = now_ms() + number
        event = {
            "eventId": f"e-{number}",
            "leaderboardId": BOARD,
            "userId": user_id,
            "points": 200 * number,
            "attributes": {"country": "DE"},
            "occurredAt": format_instant(at_ms),
        }
        records.append(Record(Source("score-events", 0, number, at_ms), None, msgspec.json.encode(event)))
    assert {one.kind for one in assembly.ingest.ingest(records)} == {"applied"}
    _finish(assembly, board)


def final_window() -> Window:
    return daily(Day(day_of(now_ms()) - 60))


def _finish(assembly: Assembly, board: Leaderboard) -> None:
    """A result, as the closing leaves it."""
    window = final_window()
    close(assembly.final_results, board, window.last, [window])
    name = f"finals/{board.id}/{window.id}/rules-1"
    final = FinalResult(
        leaderboard_id=board.id,
        window_id=window.id,
        rules_version=board.version,
        audit_sequence=assembly.disqualified_players.now(board.id).audit_sequence,
        players=0,
        sum_of_points="0",
        object_key=f"{name}.csv",
        bytes=52,
        sha256="0" * 64,
        awards_key=f"{name}.awards.csv",
        awards_sha256="0" * 64,
        code_version="0",
        finalised_at_ms=now_ms(),
    )
    assembly.final_results.write(final)


@pytest.fixture(scope="module")
def schema(assembly: Assembly) -> Any:
    """The contract as it is served, without tokens: here, as in every local stack, AUTHORIZATION is off."""
    app = create_app(assembly)
    open_to_all = {**app.openapi(), "security": []}
    open_to_all["components"] = {**open_to_all["components"], "securitySchemes": {}}
    for methods in open_to_all["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    app.openapi = lambda: open_to_all  # type: ignore[method-assign]
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.fixture(scope="module")
def export_id(assembly: Assembly) -> str:
    board = assembly.registry.leaderboard(BOARD)
    assert board is not None
    return assembly.exports.request(board, ALL_TIME, ExportRequest(ALL_TIME.id)).id


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[int]]:
    """Answers by status, told at the end where somebody looks (`make fuzz`)."""
    statuses: Counter[int] = Counter()
    yield statuses
    print(f"\n{statuses.total()} requests answered: {dict(sorted(statuses.items()))}")


def direct(case: Any, known: int, export_id: str) -> None:
    """Point a made-up question at what is there; nearly all the others end in 404, or name no window."""
    player = known % len(USERS)
    ids = {"id": BOARD, "userId": USERS[player], "periodId": PERIOD, "exportId": export_id, "eventId": f"e-{player}"}
    if case.method != "DELETE" or len(case.path_parameters) > 1 or known > 5:
        case.path_parameters |= {name: ids[name] for name in case.path_parameters}
    if case.path.endswith("/purge"):
        case.path_parameters["id"] = REHEARSAL
    if case.path == "/leaderboards/{id}" and isinstance(case.body, dict) and known > 5:
        case.body = {"name": case.body["name"], "aggregation": "sum", "filters": ["country"]}  # other rules are locked
    if "userId" in case.query:
        case.query["userId"] = ids["userId"]
    if isinstance(case.body, dict) and "from" in case.body:
        case.body |= {"from": format_day(period().first), "to": format_day(Day(period().last + known))}
    if isinstance(case.body, dict) and "occurredAt" in case.body and known > 3:
        case.body["occurredAt"] = format_instant(now_ms() - 1_000)
    if "attributes" in case.query and known % 2:
        case.query["attributes"] = {"attr.country": "DE"}
    if known > 2:
        for name in ("date", "period", "from", "to", "offset"):
            case.query.pop(name, None)
    if known > 3:
        for name in ("cursor", "tier", "minScore", "maxScore", "userIds", "attributes", "topN", "topPercent"):
            case.query.pop(name, None)
    if case.path.endswith("/result") and known > 2:
        case.query = {"window": "daily", "date": final_window().id}
    elif known > 4:
        case.query |= {"window": "custom", "period": PERIOD} if "window" in case.query else {}


@pytest.fixture(scope="module")
def side_by_side() -> Iterator[Callable[[Iterable[Any]], Iterator[Any]]]:
    """Sends requests at the same time; their answers in their order."""
    with ThreadPoolExecutor(ABREAST) as pool:
        yield lambda cases: pool.map(lambda case: case.call(), cases)


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_answer_is_one_that_the_contract_names(
    schema: Any, export_id: str, tally: Counter[int], side_by_side: Any, path: str, method: str
) -> None:
    """Neither a 5xx, nor a status, type, header or body that is not described, nor wrong data that is accepted.

    Left out: whether all that the schema allows is accepted. Dates that no calendar has, parameters that contradict
    each other and unknown tiers can't be told by a schema; they are 422, and tests/unit/api names them all.
    """
    operation = schema[path][method]
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if "parameters" in CONTRACT[path][method] else [])]

    statuses: Counter[int] = Counter()
    # Of a batch each item is refused by itself, with its own status
    left_out = [positive_data_acceptance, *([negative_data_rejection] if path == BATCHES else [])]

    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])
    asked = st.tuples(cases, st.integers(0, 7), st.integers(0, 9))

    @hypothesis_settings(max_examples=ceil(3 * EXAMPLES / ABREAST), suppress_health_check=list(HealthCheck))
    @given(st.lists(asked, min_size=1, max_size=ABREAST))
    def ask(drawn: list[tuple[Any, int, int]]) -> None:
        strays = []
        for case, known, stray in drawn:
            if known and case.meta.generation.mode is GenerationMode.POSITIVE:
                direct(case, known, export_id)
            strays.append(not stray)
            if not stray:
                case.query = {**(case.query or {}), "thisIsNoParameter": "1"}
        for (case, *_), is_stray, answer in zip(drawn, strays, side_by_side(case for case, *_ in drawn), strict=True):
            case.validate_response(answer, excluded_checks=left_out)
            assert not is_stray or 400 <= answer.status_code < 500, "what the contract does not name is refused"
            statuses[answer.status_code] += 1

    ask()
    tally.update(statuses)
    assert any(status < 400 for status in statuses), f"nothing but errors were reached: {statuses}"
