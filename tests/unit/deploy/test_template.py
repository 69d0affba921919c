"""template.yaml and what it nests: valid, complete, and no wider than what the functions do."""

import importlib.util
import re
from pathlib import Path

import msgspec
import pytest
from cfnlint import lint_file
from msgspec import NODEFAULT

from functions.api import conditional, security
from infra.local import gateway
from shared.closing.schedule import FUNCTIONS_SKEW_MS, INGEST_CALL_MS
from shared.settings import PSEUDONYM_FENCE_S_MIN, Settings
from shared.telemetry import Metric
from shared.truth.tables import EXPIRY
from tests.support.template import (
    FUNCTIONS,
    NESTED,
    PARAMETERS,
    ROOT,
    STACK,
    TEMPLATE,
    Right,
    branches,
    folder,
    kafka_rights,
    read,
    statements,
    value,
)

NOT_GIVEN = {"AWS_REGION", "CODE_VERSION"}
"""Lambda sets the one itself, the image brings the other along."""
READ_SECRET = "secretsmanager:GetSecretValue"
SIGNING = {"CURSOR_KEY"}
"""Settings that only the API needs."""


@pytest.mark.parametrize("path", [TEMPLATE, *NESTED], ids=lambda path: path.name)
def test_cfn_lint_finds_nothing(path: Path) -> None:
    assert [f"{match.rule.id} line {match.linenumber}: {match.message}" for match in lint_file(path)] == []


def test_every_nested_template_is_used_and_gets_the_parameters_it_takes() -> None:
    nested = {
        ROOT / resource["Properties"]["Location"]: resource["Properties"]["Parameters"]
        for resource in STACK["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Application"
    }
    assert sorted(nested) == NESTED
    for path, given in nested.items():
        assert given.keys() == read(path)["Parameters"].keys()


def test_every_function_of_the_project_is_deployed_by_its_handler() -> None:
    written = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert {folder(function) for function in FUNCTIONS.values()} == written
    assert all(importlib.util.find_spec(f"functions.{name}.handler") for name in written)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_every_setting_without_default_and_no_other(name: str) -> None:
    shared = STACK["Globals"]["Function"]["Environment"]["Variables"]
    own = FUNCTIONS[name]["Environment"]["Variables"]
    given = (shared | own).keys() - {"POWERTOOLS_SERVICE_NAME", "OTEL_EXPORTER_OTLP_ENDPOINT"}
    fields = {one.encode_name: one for one in msgspec.structs.fields(Settings)}
    needed = {one for one, field in fields.items() if field.default is NODEFAULT}
    assert needed - NOT_GIVEN <= given <= fields.keys() - NOT_GIVEN
    assert (given >= SIGNING) is (folder(FUNCTIONS[name]) == "api")
    assert ("PSEUDONYM_KEY" in given) is (folder(FUNCTIONS[name]) in ("api", "ingest"))
    assert own["POWERTOOLS_SERVICE_NAME"] == folder(FUNCTIONS[name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_secret_is_given_by_reference_to_who_may_read_it(name: str) -> None:
    own = FUNCTIONS[name]["Environment"]["Variables"]
    shared = STACK["Globals"]["Function"]["Environment"]["Variables"]
    possible = [side for one in own.values() for side in branches(one)]
    referred = {one["Sub"] for one in possible if isinstance(one, dict) and "Sub" in one}
    if name == "IngestFunction":
        referred.add("secretsmanager:${KafkaSecretArn}")  # which its event source reads
    readable = [one["Resource"] for one in statements(FUNCTIONS[name]) if one["Action"] == [READ_SECRET]]
    named = [one for each in readable for one in (each if isinstance(each, list) else [each])]
    assert {f"secretsmanager:${{{next(iter(one.values()))}}}" for one in named} == referred
    assert "resolve:" not in str(own | shared)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_may_do_named_things_to_named_resources(name: str) -> None:
    for statement in statements(FUNCTIONS[name]):
        assert not any("*" in action for action in statement["Action"])
        assert statement["Resource"] != "*"


CONSUMES = {
    *(Right(action, "cluster") for action in ("Connect", "DescribeCluster")),
    *(Right(action, "topic/KafkaTopic") for action in ("DescribeTopic", "ReadData")),
    *(Right(action, "group/*") for action in ("DescribeGroup", "AlterGroup")),
}
"""Of a consumer, even one that commits nothing: it has to name a group.
https://docs.aws.amazon.com/msk/latest/developerguide/iam-access-control-use-cases.html"""
POLLS = CONSUMES | {Right("DescribeClusterDynamicConfiguration", "cluster")}
"""Of Lambda's event source, which reads under the function's role: the guide's "Configuring Amazon MSK cluster
authentication"."""
ASKS = CONSUMES | {Right("DescribeTopicDynamicConfiguration", "topic/KafkaTopic")}
"""Of closing, which also looks at the topic's settings."""
PRODUCES = {
    *(Right(action, "cluster") for action in ("Connect", "DescribeCluster", "WriteDataIdempotently")),
    *(Right(action, "topic/KafkaTopic") for action in ("DescribeTopic", "WriteData")),
}


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("IngestFunction", POLLS),
        ("CloseFunction", ASKS),
        ("RedriveFunction", PRODUCES),
        ("ApiFunction", PRODUCES),
        ("ExportFunction", set()),
        ("RepairFunction", set()),
    ],
)
def test_a_function_has_the_rights_on_the_cluster_that_its_part_takes_and_no_other(
    name: str, needed: set[Right]
) -> None:
    assert kafka_rights(FUNCTIONS[name]) == needed


@pytest.mark.parametrize(
    ("name", "table", "allowed"),
    [
        (name, table, {"PutItem"} if name == "IngestFunction" else set())
        for name in FUNCTIONS
        for table in ("LedgerTable", "StandingsTable")
    ],
)
def test_nobody_but_ingest_writes_the_truth_and_nobody_deletes_an_event(
    name: str, table: str, allowed: set[str]
) -> None:
    """The API voids and corrects in transactions, which hold audit log and standings as well; it and closing move
    players to pseudonyms, in transactions that put what they delete. What fences an id off holds no event.
    """
    writes = {"PutItem", "UpdateItem", "DeleteItem"}
    in_transactions = {"StringEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}}
    for statement in statements(FUNCTIONS[name]):
        if f"{table}.Arn" in str(statement["Resource"]):
            granted = writes & {action.removeprefix("dynamodb:") for action in statement["Action"]}
            if granted == {"DeleteItem"} and (name, table) == ("CloseFunction", "StandingsTable"):
                continue
            if name in ("ApiFunction", "CloseFunction") and granted:
                assert statement["Condition"] == in_transactions
                corrects = {"UpdateItem"} if name == "ApiFunction" else set[str]()
                assert granted <= ({"PutItem", "DeleteItem"} | corrects if table == "LedgerTable" else {"PutItem"})
            else:
                assert granted <= allowed


def test_closing_waits_as_long_as_an_ingest_call_may_last() -> None:
    assert FUNCTIONS["IngestFunction"]["Timeout"] * 1_000 == INGEST_CALL_MS


def test_a_replaced_id_is_fenced_off_until_no_call_is_left() -> None:
    assert max(one["Timeout"] for one in FUNCTIONS.values()) + FUNCTIONS_SKEW_MS / 1_000 < PSEUDONYM_FENCE_S_MIN


SOURCES = {
    name: resource
    for name, resource in STACK["Resources"].items()
    if resource["Type"] == "AWS::Lambda::EventSourceMapping"
}


@pytest.mark.parametrize("name", SOURCES)
def test_no_limit_of_tries_or_age_drops_what_players_have_earned(name: str) -> None:
    source = SOURCES[name]["Properties"]
    assert (source["MaximumRetryAttempts"], source["MaximumRecordAgeInSeconds"]) == (-1, -1)
    assert "DestinationConfig" not in source, "with one, Lambda makes ten tries of infinite ones"
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["FunctionName"] == {"Ref": "IngestFunction.Alias"}


def test_the_topic_is_read_alike_on_either_kind_of_cluster() -> None:
    msk, own = SOURCES["MskSource"], SOURCES["OwnKafkaSource"]
    assert (msk["Condition"], own["Condition"]) == ("Msk", "OwnKafka")
    where = {"EventSourceArn", "SelfManagedEventSource", "SourceAccessConfigurations"}
    alike = [{key: one for key, one in source["Properties"].items() if key not in where} for source in (msk, own)]
    assert alike[0] == alike[1]
    kinds = {one["Type"] for one in own["Properties"]["SourceAccessConfigurations"]}
    assert kinds == {"SASL_SCRAM_512_AUTH", "VPC_SUBNET", "VPC_SECURITY_GROUP"}


def test_each_kind_of_cluster_is_asked_as_it_wants_to_be() -> None:
    shared = STACK["Globals"]["Function"]["Environment"]["Variables"]
    assert shared["KAFKA_SECURITY"] == {"If": ["Msk", "AWS_MSK_IAM", "SASL_SCRAM"]}
    asks = {folder(one) for one in FUNCTIONS.values() if "KAFKA_CREDENTIALS" in one["Environment"]["Variables"]}
    assert asks == {folder(one) for name, one in FUNCTIONS.items() if kafka_rights(one)} - {"ingest"}


def test_what_is_kept_survives_the_stack() -> None:
    kept = {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}
    for name, resource in STACK["Resources"].items():
        if resource["Type"] in kept or name == "DeadLetterQueue":
            assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain", name


def test_results_are_kept_when_exports_expire() -> None:
    rules = STACK["Resources"]["ExportBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    assert [rule["Prefix"] for rule in rules if "ExpirationInDays" in rule] == ["exports/"]


def test_the_exporter_takes_away_what_exports_leave_and_can_reach_no_result() -> None:
    found = [one for one in statements(FUNCTIONS["ExportFunction"]) if "s3:PutObject" in one["Action"]]
    (writes,) = found
    places = [one["Sub"] for one in writes["Resource"]]
    assert {"s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"} == set(writes["Action"])
    assert places == ["${ExportBucket.Arn}/exports/*", "${ExportBucket.Arn}/finals/*/exports/*"]
    others = [one for name in FUNCTIONS if name != "ExportFunction" for one in statements(FUNCTIONS[name])]
    assert not any("s3:DeleteObject" in one["Action"] for one in others)


@pytest.mark.parametrize("name", ["ExportFunction", "CloseFunction"])
def test_who_uploads_may_look_for_what_a_killed_one_has_left(name: str) -> None:
    looks = [one for one in statements(FUNCTIONS[name]) if "s3:ListBucketMultipartUploads" in one["Action"]]
    assert [one["Resource"] for one in looks] == [{"GetAtt": "ExportBucket.Arn"}]


def test_a_message_comes_back_only_after_its_function_must_have_ended() -> None:
    for function in FUNCTIONS.values():
        for event in function.get("Events", {}).values():
            if event["Type"] == "SQS":
                queue = STACK["Resources"][event["Properties"]["Queue"]["GetAtt"].removesuffix(".Arn")]["Properties"]
                assert queue["VisibilityTimeout"] >= 6 * function["Timeout"], "what AWS advises"
                assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5


def test_a_queue_asks_for_no_more_functions_than_it_may_have() -> None:
    for name, function in FUNCTIONS.items():
        queued = [one["Properties"] for one in function.get("Events", {}).values() if one["Type"] == "SQS"]
        for queue in queued:
            others = sum(one["Type"] == "ScheduleV2" for one in function["Events"].values())
            at_once = value(queue["ScalingConfig"]["MaximumConcurrency"])
            assert at_once + others <= value(function["ReservedConcurrentExecutions"]), name
            if others == 0:
                assert queue["ScalingConfig"]["MaximumConcurrency"] == function["ReservedConcurrentExecutions"]


def test_readers_take_no_instance_from_ingest() -> None:
    assert FUNCTIONS["IngestFunction"]["ReservedConcurrentExecutions"] == {"Ref": "IngestConcurrency"}
    assert FUNCTIONS["ApiFunction"]["ReservedConcurrentExecutions"] == {"Ref": "ApiConcurrency"}
    reserved = sum(value(function["ReservedConcurrentExecutions"]) for function in FUNCTIONS.values())
    assert reserved <= 1_000 - 100, "what an account has, less what Lambda keeps for functions without"


COSTLY = {
    "GET /leaderboards/{id}/export",
    "GET /metrics",
    "POST /leaderboards/{id}/rebuild",
    "POST /leaderboards/{id}/redrive",
    "POST /leaderboards/{id}/players/{player+}",
}


def test_a_route_that_starts_work_has_its_own_throttle_and_needs_a_token() -> None:
    routes = {}
    for event in FUNCTIONS["ApiFunction"]["Events"].values():
        one = event["Properties"]
        routes[f"{one.get('Method', 'ANY')} {one.get('Path', '$default')}"] = one
    throttled = {"ThrottlingRateLimit": {"Ref": "CostlyRequestsPerS"}, "ThrottlingBurstLimit": {"Ref": "CostlyBurst"}}
    assert {
        route for route, one in routes.items() if one.get("RouteSettings", {}).items() >= throttled.items()
    } == COSTLY
    open_routes = {route for route, one in routes.items() if one.get("Auth") == {"Authorizer": "NONE"}}
    console = {"GET /", "GET /console", "GET /console/", "GET /console/{file}"}
    assert open_routes == {"GET /health", "GET /health/{what}", "GET /openapi.json", "OPTIONS /{proxy+}", *console}


def test_browsers_of_named_origins_may_send_and_read_all_that_a_ranking_takes() -> None:
    condition, cors, otherwise = STACK["Resources"]["HttpApi"]["Properties"]["CorsConfiguration"]["If"]
    assert STACK["Conditions"][condition] == {"Not": [{"Equals": [{"Ref": "AllowedOrigins"}, ""]}]}
    assert PARAMETERS["AllowedOrigins"]["Default"] == ""
    assert otherwise == {"Ref": "AWS::NoValue"}
    assert cors["AllowOrigins"] == {"Split": [",", {"Ref": "AllowedOrigins"}]}
    assert tuple(cors["AllowMethods"]) == gateway.CORS_METHODS
    assert tuple(cors["AllowHeaders"]) == gateway.CORS_HEADERS
    assert tuple(cors["ExposeHeaders"]) == gateway.CORS_EXPOSED
    assert cors["MaxAge"] == gateway.CORS_MAX_AGE_S


def test_only_pages_of_the_console_may_read_files_of_results_and_only_by_get() -> None:
    condition, cors, otherwise = STACK["Resources"]["ExportBucket"]["Properties"]["CorsConfiguration"]["If"]
    assert STACK["Conditions"][condition] == {"Not": [{"Equals": [{"Ref": "ConsoleOrigin"}, ""]}]}
    assert PARAMETERS["ConsoleOrigin"]["Default"] == ""
    assert otherwise == {"Ref": "AWS::NoValue"}
    assert cors == {
        "CorsRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": [{"Ref": "ConsoleOrigin"}], "MaxAge": 7_200}]
    }
    pattern = PARAMETERS["ConsoleOrigin"]["AllowedPattern"]
    for origin in ("https://scores.example.com", "https://abc123.execute-api.eu-central-1.amazonaws.com", ""):
        assert re.match(pattern, origin)
    for wrong in ("*", "https://scores.example.com/", "http://scores.example.com", "scores.example.com"):
        assert not re.match(pattern, wrong)


def test_reads_are_open_only_where_somebody_chose_it_and_then_behind_a_cache() -> None:
    assert PARAMETERS["PublicReads"]["Default"] == "off"
    assert STACK["Conditions"]["PublicReads"] == {"Equals": [{"Ref": "PublicReads"}, "on"]}
    assert FUNCTIONS["ApiFunction"]["Environment"]["Variables"]["PUBLIC_READS"] == {"Ref": "PublicReads"}
    assert STACK["Resources"]["Edge"]["Condition"] == "PublicReads"


EDGE_RESOURCES = read(ROOT / "infra" / "templates" / "edge.yaml")["Resources"]
EDGE = {name: one["Properties"] for name, one in EDGE_RESOURCES.items()}


def test_the_gateway_without_tokens_has_the_routes_that_may_be_public_and_no_other() -> None:
    routes = {one["Properties"]["RouteKey"] for one in EDGE_RESOURCES.values() if one["Type"].endswith("::Route")}
    # of one segment, unlike the function's: nothing that stands below a player can be asked for
    assert routes == {f"GET {path.replace('{userId:path}', '{player}')}" for path in security.PUBLIC}
    assert EDGE["Permission"]["SourceArn"]["Sub"].endswith("/*/GET/leaderboards/*")
    assert EDGE["Stage"]["DefaultRouteSettings"]["ThrottlingRateLimit"] == {"Ref": "RequestsPerS"}


def test_a_cache_in_front_keeps_what_the_api_lets_it_by_all_that_decides_an_answer() -> None:
    policy = EDGE["CachePolicy"]["CachePolicyConfig"]
    key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert (policy["MinTTL"], policy["DefaultTTL"], policy["MaxTTL"]) == (0, 0, conditional.FINAL_MAX_AGE_S)
    assert key["QueryStringsConfig"] == {"QueryStringBehavior": "all"}, "a filter has any name: attr.country"
    assert key["HeadersConfig"] == {"HeaderBehavior": "none"}, "no token may reach what is kept for everybody"
    assert key["CookiesConfig"] == {"CookieBehavior": "none"}


def test_a_cache_in_front_only_reads_and_keeps_no_error_longer_than_an_answer() -> None:
    distribution = EDGE["Distribution"]["DistributionConfig"]
    behaviour = distribution["DefaultCacheBehavior"]
    assert "CacheBehaviors" not in distribution
    assert behaviour["AllowedMethods"] == ["GET", "HEAD"]
    assert "OriginRequestPolicyId" not in behaviour, "which could pass on what is not in the key"
    errors = {one["ErrorCode"]: one["ErrorCachingMinTTL"] for one in distribution["CustomErrorResponses"]}
    assert errors == {400: 0, 403: 0, 404: 0, 405: 0, 414: 0, 500: 1, 502: 1, 503: 1, 504: 1}


def test_what_is_written_with_a_time_to_live_goes_when_that_is_over() -> None:
    registry = STACK["Resources"]["RegistryTable"]["Properties"]
    assert registry["TimeToLiveSpecification"] == {"AttributeName": EXPIRY, "Enabled": True}
    for name in ("LedgerTable", "StandingsTable"):
        assert "TimeToLiveSpecification" not in STACK["Resources"][name]["Properties"]


def test_a_setting_that_an_operator_tunes_has_a_range() -> None:
    numbers = {name: one for name, one in PARAMETERS.items() if one["Type"] == "Number"}
    assert all(
        "AllowedValues" in one or one["MinValue"] <= one["Default"] <= one["MaxValue"] for one in numbers.values()
    )


def test_every_role_has_the_boundary_where_one_is_given() -> None:
    bounded = {"If": ["Bounded", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    events = [one for function in FUNCTIONS.values() for one in function.get("Events", {}).values()]
    schedules = [one for one in events if one["Type"] == "ScheduleV2"]
    roles = [one for one in STACK["Resources"].values() if one["Type"] == "AWS::IAM::Role"]
    own = [STACK["Globals"]["Function"], *(one["Properties"] for one in [*schedules, *roles])]
    assert [one["PermissionsBoundary"] for one in own] == [bounded] * 5
    deployments = [one["DeploymentPreference"] for one in FUNCTIONS.values() if "DeploymentPreference" in one]
    assert [one["Role"] for one in deployments] == [{"GetAtt": "DeploymentRole.Arn"}] * 2, "SAM's has no boundary"
    nested = [one["Type"] for path in NESTED for one in read(path)["Resources"].values()]
    assert "AWS::IAM::Role" not in nested


def test_a_schedule_that_failed_is_not_tried_beside_the_next() -> None:
    for name, function in FUNCTIONS.items():
        if any(one["Type"] == "ScheduleV2" for one in function.get("Events", {}).values()):
            assert function["EventInvokeConfig"]["MaximumRetryAttempts"] == 0, name


def test_a_second_stack_of_the_account_has_schedules_of_its_own() -> None:
    events = [event for function in FUNCTIONS.values() for event in function.get("Events", {}).values()]
    schedules = [event["Properties"] for event in events if event["Type"] == "ScheduleV2"]
    assert len(schedules) == 3
    assert all(schedule["OmitName"] is True for schedule in schedules), "else SAM names them by their logical ids alone"


def test_no_log_is_kept_for_ever() -> None:
    logs = [one["Properties"] for one in STACK["Resources"].values() if one["Type"] == "AWS::Logs::LogGroup"]
    assert logs
    assert all("RetentionInDays" in one for one in logs)
    assert STACK["Globals"]["Function"]["LoggingConfig"]["LogGroup"] == {"Ref": "FunctionLog"}


RUNBOOK = dict(re.findall(r"^## (\S+)\n(.+?)(?=^## |\Z)", (ROOT / "docs" / "runbook.md").read_text(), re.M | re.S))
"""The sections by their names."""
ALARMS = {
    name: resource["Properties"]
    for name, resource in read(ROOT / "infra" / "templates" / "monitoring.yaml")["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}


@pytest.mark.parametrize("name", [name for name, one in ALARMS.items() if one["Namespace"] == "Leaderboards"])
def test_an_alarm_is_on_a_metric_that_its_function_writes(name: str) -> None:
    (dimension,) = ALARMS[name]["Dimensions"]
    handler = (ROOT / "functions" / dimension["Value"] / "handler.py").read_text()
    metric = ALARMS[name]["MetricName"]
    stem, _, part = metric.partition("_")
    written = re.findall(rf"(?:measure|Measured)\(Metric\.{Metric(stem).name}, (.*)\)", handler)
    assert any(("by=" in call) == bool(part) for call in written)


@pytest.mark.parametrize("section", RUNBOOK)
def test_a_section_of_the_runbook_says_what_is_seen_where_to_look_and_what_to_do(section: str) -> None:
    means, *rest = re.split(r"\*(Seen|Look|Do):?\*", RUNBOOK[section])
    assert means.strip(), "what the alarm means"
    assert rest[::2] == ["Seen", "Look", "Do"]


def test_every_section_of_the_runbook_is_about_an_alarm() -> None:
    assert {one["AlarmDescription"]["Sub"].rpartition("#")[2] for one in ALARMS.values()} == RUNBOOK.keys()


def test_every_shard_of_the_cache_has_the_alarms_of_the_first() -> None:
    further = read(ROOT / "infra" / "templates" / "cache-shard.yaml")["Resources"]
    assert {name: one["Properties"] for name, one in further.items()} == {
        name: one for name, one in ALARMS.items() if one["Namespace"] == "AWS/ElastiCache"
    }
    for number in range(2, PARAMETERS["CacheShards"]["MaxValue"] + 1):
        resource, later = STACK["Resources"][f"CacheShard{number}"], {"Equals": [{"Ref": "CacheShards"}, number]}
        assert resource["Properties"]["Parameters"]["CacheShardId"]["Sub"].endswith(f"-{number:04}")
        condition = STACK["Conditions"][resource["Condition"]]
        assert later in (condition, condition.get("Or", [None])[0])


def test_a_cache_of_another_kind_has_a_url_that_new_versions_know() -> None:
    cache = read(ROOT / "infra" / "templates" / "cache.yaml")
    single, clustered = (cache["Resources"][name] for name in ("Valkey", "ValkeyCluster"))
    assert {single["Condition"], clustered["Condition"]} == cache["Conditions"].keys() == {"Single", "Clustered"}
    groups = cache["Resources"]["ValkeySettings"], cache["Resources"]["ValkeyClusterSettings"]
    assert all(group["Properties"]["Properties"]["maxmemory-policy"] == "noeviction" for group in groups)
    assert [group["Properties"]["Properties"].get("cluster-enabled") for group in groups] == [None, "yes"]
    assert clustered["UpdatePolicy"] == {"UseOnlineResharding": True}, "or another number would make all of it anew"
    for name in ("IngestFunction", "ApiFunction"):
        assert {"Ref": "CacheShards"} in FUNCTIONS[name]["ImageUri"]["Select"][1]


BY_HAND = {"redrive"}
"""Whoever invokes it sees how it ends."""


def test_a_function_that_crashes_is_told_of_though_it_can_write_no_metric() -> None:
    watched = {
        one["Dimensions"][0]["Value"]["Ref"].removesuffix("FunctionName").lower()
        for one in ALARMS.values()
        if (one["Namespace"], one["MetricName"]) == ("AWS/Lambda", "Errors")
    }
    assert watched == {folder(function) for function in FUNCTIONS.values()} - BY_HAND


def test_leaderboards_that_get_no_turn_are_told_of_for_closing_and_for_repair() -> None:
    watched = [one for one in ALARMS.values() if one["MetricName"] == "BoardsUnchecked"]
    assert {one["Dimensions"][0]["Value"] for one in watched} == {"close", "repair"}
    assert all(one["Period"] > FUNCTIONS["CloseFunction"]["Timeout"] for one in watched), "a run at least"


def test_a_schedule_that_comes_to_no_end_is_told_of() -> None:
    delay, snapshots = ALARMS["ClosingDelay"], ALARMS["SnapshotsMissing"]
    assert delay["TreatMissingData"] == snapshots["TreatMissingData"] == "breaching"
    assert delay["Period"] * delay["EvaluationPeriods"] > FUNCTIONS["CloseFunction"]["Timeout"], (
        "a long run is no crash"
    )


def test_a_version_of_the_api_that_cannot_start_is_taken_back() -> None:
    alarms = FUNCTIONS["ApiFunction"]["DeploymentPreference"]["Alarms"]
    assert {"GetAtt": "Monitoring.Outputs.ApiErrors"} in alarms


def test_an_alarm_names_a_function_as_the_template_does() -> None:
    given = STACK["Resources"]["Monitoring"]["Properties"]["Parameters"]
    for name, function in FUNCTIONS.items():
        alarmed = given.get(f"{folder(function).capitalize()}FunctionName")
        assert alarmed in (None, {"Ref": name}, function.get("FunctionName"))


def test_the_review_counts_the_alarms_that_there_are() -> None:
    review = (ROOT / "docs" / "well-architected.md").read_text()
    assert re.findall(r"(\d+) alarms, each with a section", review) == [str(len(ALARMS))]
