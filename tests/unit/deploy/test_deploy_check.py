"""`make deploy-check` sees each way in which a created stack may differ from what it has to be."""

import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from infra.deploy_check import calls, compare
from infra.deploy_check.compare import Resource
from infra.deploy_check.templates import check_out, commit_before, without_unknown

ENVIRONMENT = {
    "STAGE": "production",
    "LEDGER_TABLE": "ledger",
    "STANDINGS_TABLE": "standings",
    "REGISTRY_TABLE": "registry",
    "CACHE_URL": "rediss://cache:6379",
    "CACHE_PASSWORD": "secretsmanager:password",
    "DLQ_QUEUE_URL": "https://queues/dlq",
    "REPAIR_QUEUE_URL": "https://queues/repair",
    "RANGE_QUEUE_URL": "https://queues/range",
    "EXPORT_QUEUE_URL": "https://queues/export",
    "EXPORT_BUCKET": "exports",
    "KAFKA_BOOTSTRAP_SERVERS": "broker:9098",
    "KAFKA_TOPIC": "score-events",
    "POWERTOOLS_METRICS_NAMESPACE": "Leaderboards",
}
TEMPLATE: dict[str, Any] = {
    "Parameters": {"Shards": {"Default": 1}, "Kafka": {"Default": ""}},
    "Conditions": {
        "Msk": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Kafka"}, ""]}]},
        "Own": {"Fn::Not": [{"Condition": "Msk"}]},
        "Two": {"Fn::Equals": [{"Ref": "Shards"}, 2]},
        "TwoOnMsk": {"Fn::And": [{"Condition": "Two"}, {"Condition": "Msk"}]},
        "TwoOrOwn": {"Fn::Or": [{"Condition": "Two"}, {"Condition": "Own"}]},
        "Odd": {"Fn::Contains": [["a"], "a"]},
    },
    "Resources": {
        "Queue": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"},
        "Function": {"Type": "AWS::Lambda::Function"},
        "Msk": {"Type": "AWS::SNS::Topic", "Condition": "Msk"},
    },
}
FOUND = {
    "Queue": Resource("AWS::SQS::Queue", "CREATE_COMPLETE", "http://here/0/stack-Queue-1"),
    "Function": Resource("AWS::Lambda::Function", "UPDATE_COMPLETE", "stack-Function-1"),
    "Alias": Resource("AWS::Lambda::Alias", "CREATE_COMPLETE", "arn:aws:lambda:here:0:function:stack-Function-1:live"),
    "Source": Resource("AWS::Lambda::EventSourceMapping", "CREATE_COMPLETE", "uuid"),
    "Minute": Resource("AWS::Scheduler::Schedule", "CREATE_COMPLETE", "minute"),
}
SOURCE = {
    "Source": {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "FunctionName": {"Ref": "Alias"},
            "EventSourceArn": {"Fn::GetAtt": ["Queue", "Arn"]},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        },
    }
}
MAPPING = {
    "FunctionArn": "arn:aws:lambda:here:0:function:stack-Function-1:live",
    "EventSourceArn": "arn:aws:sqs:here:0:stack-Queue-1",
    "FunctionResponseTypes": ["ReportBatchItemFailures"],
    "State": "Enabled",
}
MINUTE = {
    "Minute": {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "ScheduleExpression": "rate(1 minute)",
            "Target": {"Arn": {"Fn::GetAtt": ["Function", "Arn"]}, "Input": "{}"},
        },
    }
}
SCHEDULE = {
    "ScheduleExpression": "rate(1 minute)",
    "State": "ENABLED",
    "Target": {"Arn": "arn:aws:lambda:here:0:function:stack-Function-1", "Input": "{}"},
}


@pytest.mark.parametrize(
    ("name", "shards", "kafka", "expected"),
    [
        ("Msk", "1", "", False),
        ("Msk", "1", "arn", True),
        ("Own", "1", "", True),
        ("Two", "2", "", True),
        ("TwoOnMsk", "2", "", False),
        ("TwoOnMsk", "2", "arn", True),
        ("TwoOrOwn", "1", "arn", False),
        ("TwoOrOwn", "1", "", True),
    ],
)
def test_a_condition_holds_by_parameters(name: str, shards: str, kafka: str, expected: bool) -> None:
    assert compare.holds(TEMPLATE, {"Shards": shards, "Kafka": kafka}, name) is expected


def test_an_unknown_condition_is_refused_instead_of_guessed() -> None:
    with pytest.raises(ValueError, match="Odd: a condition by Fn::Contains is not known here"):
        compare.holds(TEMPLATE, {}, "Odd")


def test_defaults_decide_what_is_wanted() -> None:
    assert compare.wanted(TEMPLATE, compare.values(TEMPLATE, {})).keys() == {"Queue", "Function"}
    assert "Msk" in compare.wanted(TEMPLATE, compare.values(TEMPLATE, {"Kafka": "arn"}))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"Queue": None}, ["Queue (AWS::SQS::Queue) is missing"]),
        (
            {"Other": Resource("AWS::SNS::Topic", "CREATE_COMPLETE", "a")},
            ["Other (AWS::SNS::Topic) is not in the template"],
        ),
        (
            {"Queue": Resource("AWS::SNS::Topic", "CREATE_COMPLETE", "a")},
            ["Queue is AWS::SNS::Topic, not AWS::SQS::Queue"],
        ),
        ({"Queue": Resource("AWS::SQS::Queue", "CREATE_FAILED", "a")}, ["Queue is CREATE_FAILED"]),
        ({"Queue": Resource("AWS::SQS::Queue", "CREATE_COMPLETE", "")}, ["Queue has no physical id"]),
    ],
)
def test_resources_that_differ_are_named(change: dict[str, Resource | None], said: list[str]) -> None:
    wanted = compare.wanted(TEMPLATE, compare.values(TEMPLATE, {}))
    both = {name: FOUND[name] for name in wanted} | change
    assert compare.resources(wanted, {name: one for name, one in both.items() if one is not None}) == said


def test_settings_are_read_by_the_code_itself() -> None:
    assert compare.settings("Function", ENVIRONMENT, str) == []
    without = {name: value for name, value in ENVIRONMENT.items() if name != "LEDGER_TABLE"}
    (said,) = compare.settings("Function", without, str)
    assert said.startswith("Function: environment: set `LEDGER_TABLE`")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, None),
        ({"FunctionArn": "arn:aws:lambda:here:0:function:stack-Function-1"}, "calls"),
        ({"EventSourceArn": "arn:aws:sqs:here:0:other"}, "reads"),
        ({"FunctionResponseTypes": []}, "answers"),
        ({"State": "Disabled"}, "is Disabled"),
    ],
)
def test_an_event_source_that_differs_is_named(change: dict[str, Any], said: str | None) -> None:
    differences = compare.sources(SOURCE, FOUND, {"uuid": MAPPING | change})
    assert [one.partition(" ")[0] for one in differences] == ([] if said is None else ["Source:"])
    assert said is None or said in differences[0]


def test_an_event_source_that_lambda_has_not_is_named() -> None:
    assert compare.sources(SOURCE, FOUND, {}) == ["Source: Lambda has no such event source mapping"]


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({}, 0),
        ({"ScheduleExpression": "rate(5 minutes)"}, 1),
        ({"State": "DISABLED"}, 1),
        ({"Target": {"Arn": "arn:aws:lambda:here:0:function:other", "Input": "{}"}}, 1),
        ({"Target": {"Arn": "arn:aws:lambda:here:0:function:stack-Function-1"}}, 1),
    ],
)
def test_a_schedule_that_differs_is_named(change: dict[str, Any], count: int) -> None:
    assert len(compare.schedules(MINUTE, FOUND, {"minute": SCHEDULE | change})) == count
    assert compare.schedules(MINUTE, FOUND, {}) == ["Minute: the scheduler has no such schedule"]


OPEN: dict[str, Any] = {"security": [{"NONE": []}]}
CHECKED: dict[str, Any] = {"security": [{"Tokens": []}]}
BODY: dict[str, Any] = {
    "paths": {
        "$default": {"x-amazon-apigateway-any-method": CHECKED},
        "/health": {"get": OPEN},
        "/health/{what}": {"get": OPEN},
        "/players/{player+}": {"post": CHECKED},
    }
}


@pytest.mark.parametrize(
    ("path", "method", "security", "said"),
    [
        ("/health", "get", [], None),
        ("/health/live", "get", [], None),
        ("/players/{id}/void", "post", [{"token": []}], None),
        ("/boards", "put", [{"token": []}], None),
        ("/health", "get", [{"token": []}], "GET /health: is open at the gateway, unlike in the contract"),
        ("/boards", "get", [], "GET /boards: takes a token at the gateway, unlike in the contract"),
    ],
)
def test_a_route_asks_for_a_token_where_the_contract_does(
    path: str, method: str, security: list[Any], said: str | None
) -> None:
    contract = {"paths": {path: {method: {"security": security}}}}
    assert compare.routes(BODY, contract) == ([] if said is None else [said])


def test_an_operation_without_a_route_is_named() -> None:
    body = {"paths": {"/health": {"get": OPEN}}}
    assert compare.routes(body, {"paths": {"/boards": {"get": {}}}}) == ["GET /boards: no route"]


def test_an_archive_has_the_handler_of_every_function_and_no_bytecode() -> None:
    with ZipFile(BytesIO(calls.archive())) as made:
        names = made.namelist()
    assert {f"functions/{name}/handler.py" for name in ("api", "close", "export", "ingest", "redrive", "repair")} <= {
        *names
    }
    assert not [name for name in names if "__pycache__" in name]


def test_a_function_that_runs_here_has_its_images_handler_and_a_local_cache() -> None:
    properties: dict[str, Any] = {
        "PackageType": "Image",
        "ImageConfig": {"Command": ["functions.api.handler.handler"]},
        "Code": {"ImageUri": "x"},
        "Environment": {"Variables": {"CACHE_URL": "rediss://far", "STAGE": "production"}},
    }
    calls.from_archive({"Resources": {"Api": {"Type": "AWS::Lambda::Function", "Properties": properties}}}, 7)
    assert "PackageType" not in properties
    assert properties["Handler"] == "functions.api.handler.handler"
    variables = properties["Environment"]["Variables"]
    assert (variables["CACHE_URL"], variables["STAGE"]) == ("redis://127.0.0.1:7", "production")


def test_a_role_without_the_boundary_is_named() -> None:
    boundary = {"Fn::If": ["Bounded", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    bounded = {"Type": "AWS::IAM::Role", "Properties": {"PermissionsBoundary": boundary}}
    roles = {"Bounded": bounded, "Free": {"Type": "AWS::IAM::Role", "Properties": {}}}
    assert compare.unbounded(roles) == ["Free: has no boundary"]


def test_a_deleted_stack_leaves_what_is_retained_and_nothing_else() -> None:
    wanted = compare.wanted(TEMPLATE, compare.values(TEMPLATE, {}))
    assert compare.left(wanted, FOUND, {"Queue"}) == []
    assert compare.left(wanted, FOUND, {"Function"}) == [
        "Function is still there",
        "Queue was deleted, and is to be retained",
    ]


def test_what_the_engine_does_not_know_is_taken_out_and_told() -> None:
    alias = {"Type": "AWS::Lambda::Alias", "UpdatePolicy": {"CodeDeployLambdaAliasUpdate": {}}}
    group = {"Type": "AWS::CodeDeploy::DeploymentGroup"}
    made, left_out = without_unknown({"Resources": {"Alias": alias, "Group": group}})
    assert made["Resources"] == {"Alias": {"Type": "AWS::Lambda::Alias"}}
    assert left_out == ["Group"]


def test_the_templates_before_are_those_of_the_last_commit_that_had_others(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--quiet")
    (tmp_path / "infra" / "templates").mkdir(parents=True)
    (tmp_path / "infra" / "templates" / "one.yaml").write_text("1")
    for number in ("1", "2"):
        (tmp_path / "template.yaml").write_text(number)
        git("add", ".")
        git("commit", "--quiet", "--message", number)
        if number == "1":
            assert commit_before(tmp_path) is None
    (tmp_path / "other").write_text("of no stack")
    git("add", ".")
    git("commit", "--quiet", "--message", "other")

    def before() -> str:
        target = tmp_path / "before"
        target.mkdir(exist_ok=True)
        commit = commit_before(tmp_path)
        assert commit is not None
        check_out(commit, target, tmp_path)
        return (target / "template.yaml").read_text()

    assert before() == "1"
    (tmp_path / "template.yaml").write_text("3")
    assert before() == "2"


def test_outside_a_git_clone_there_are_no_templates_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commit_before(tmp_path) is None
