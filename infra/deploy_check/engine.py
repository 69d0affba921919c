"""ministack as CloudFormation and as the services that a stack is made of."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from infra.deploy_check.compare import Resource
from infra.deploy_check.templates import Template
from infra.local.config import CREDENTIAL, HOST, REGION
from infra.local.servers import Server, http_probe
from shared.secrets import SecretUnavailable

SERVICES: Final = (
    "apigateway,cloudformation,cloudfront,dynamodb,ec2,elasticache,events,iam,lambda,logs,monitoring,s3,scheduler,"
    "secretsmanager,sns,sqs,sts,kms,ssm"
)
TEMPLATES: Final = "templates"
"""Bucket that nested templates are uploaded to, as `sam package` does."""
WAIT_S: Final = 90
POLL_S: Final = 0.2


ASKED: Final[dict[str, tuple[str, str, Callable[[str], dict[str, Any]]]]] = {
    "AWS::ApiGatewayV2::Api": ("apigatewayv2", "get_api", lambda one: {"ApiId": one}),
    "AWS::CloudFront::Distribution": ("cloudfront", "get_distribution", lambda one: {"Id": one}),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "describe_alarms", lambda one: {"AlarmNames": [one]}),
    "AWS::DynamoDB::Table": ("dynamodb", "describe_table", lambda one: {"TableName": one}),
    "AWS::ElastiCache::ReplicationGroup": (
        "elasticache",
        "describe_replication_groups",
        lambda one: {"ReplicationGroupId": one},
    ),
    "AWS::IAM::Role": ("iam", "get_role", lambda one: {"RoleName": one}),
    "AWS::Lambda::EventSourceMapping": ("lambda", "get_event_source_mapping", lambda one: {"UUID": one}),
    "AWS::Lambda::Function": ("lambda", "get_function_configuration", lambda one: {"FunctionName": one}),
    "AWS::S3::Bucket": ("s3", "head_bucket", lambda one: {"Bucket": one}),
    "AWS::Scheduler::Schedule": ("scheduler", "get_schedule", lambda one: {"Name": one}),
    "AWS::SecretsManager::Secret": ("secretsmanager", "describe_secret", lambda one: {"SecretId": one}),
    "AWS::SNS::Topic": ("sns", "get_topic_attributes", lambda one: {"TopicArn": one}),
    "AWS::SQS::Queue": ("sqs", "get_queue_attributes", lambda one: {"QueueUrl": one, "AttributeNames": ["QueueArn"]}),
}
"""How a service is asked for a resource by its physical id: service, operation, arguments."""


class StackFailed(Exception):
    """The engine didn't do what it was asked; the message has its reasons."""


def server(directory: Path, port: int, packages: Path) -> Server:
    """ministack with nothing kept, in a directory of its own."""
    environment = {
        "PYTHONPATH": str(packages / "ministack"),
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": REGION,
        "SERVICES": SERVICES,
        "AWS_ACCESS_KEY_ID": CREDENTIAL,
        "AWS_SECRET_ACCESS_KEY": CREDENTIAL,
    }
    command = [sys.executable, "-m", "ministack"]
    log = directory / "ministack.log"
    return Server(
        "aws", command, log=log, ready=http_probe(port), port=port, environment=environment, directory=directory
    )


class Engine:
    """A CloudFormation on this machine, and the services behind it."""

    def __init__(self, port: int) -> None:
        self._url = f"http://{HOST}:{port}"
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """boto3's client of a service."""
        if service not in self._clients:
            self._clients[service] = boto3.client(  # type: ignore[call-overload]
                service,
                endpoint_url=self._url,
                region_name=REGION,
                aws_access_key_id=CREDENTIAL,
                aws_secret_access_key=CREDENTIAL,
                config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
        return self._clients[service]

    @property
    def templates_url(self) -> str:
        """What comes before the name of a template that was uploaded."""
        return f"{self._url}/{TEMPLATES}/"

    def upload(self, templates: Mapping[str, Template]) -> None:
        """Put templates where a stack can name them."""
        s3 = self.client("s3")
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=TEMPLATES, CreateBucketConfiguration={"LocationConstraint": REGION})
        for name, template in templates.items():
            s3.put_object(Bucket=TEMPLATES, Key=name, Body=json.dumps(template))

    def create(self, name: str, url: str, parameters: Mapping[str, str]) -> None:
        """Create a stack and wait for it.

        Raises:
            StackFailed: with the reasons of what failed.
        """
        self.client("cloudformation").create_stack(StackName=name, TemplateURL=url, **_given(parameters))
        self._wait(name, "CREATE_COMPLETE")

    def update(self, name: str, url: str, parameters: Mapping[str, str]) -> None:
        """Update a stack and wait for it.

        Raises:
            StackFailed: with the reasons of what failed.
        """
        self.client("cloudformation").update_stack(StackName=name, TemplateURL=url, **_given(parameters))
        self._wait(name, "UPDATE_COMPLETE")

    def delete(self, name: str) -> None:
        """Delete a stack and wait until it is gone.

        Raises:
            StackFailed: with the reasons of what failed.
        """
        stack = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        self.client("cloudformation").delete_stack(StackName=name)
        self._wait(stack, "DELETE_COMPLETE")

    def resources(self, name: str) -> dict[str, Resource]:
        """What CloudFormation says to have made, by logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name)
        return {
            one["LogicalResourceId"]: Resource(
                one["ResourceType"], one["ResourceStatus"], one.get("PhysicalResourceId", "")
            )
            for page in pages
            for one in page["StackResourceSummaries"]
        }

    def parameters(self, name: str) -> dict[str, str]:
        """Values of a stack's parameters."""
        stack = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        return {one["ParameterKey"]: one["ParameterValue"] for one in stack.get("Parameters", [])}

    def outputs(self, name: str) -> dict[str, str]:
        """Values of a stack's outputs."""
        stack = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}

    def template(self, name: str) -> Template:
        """The template that a stack was made from."""
        body: Template = self.client("cloudformation").get_template(StackName=name)["TemplateBody"]
        return body

    @staticmethod
    def knows(resource: Resource) -> bool:
        """Whether there is a way to ask the service itself for such a resource."""
        return resource.kind in ASKED

    def has(self, resource: Resource) -> bool:
        """Whether the service itself has a resource of a known kind, whatever CloudFormation says."""
        service, operation, argument = ASKED[resource.kind]
        try:
            answer = getattr(self.client(service), operation)(**argument(resource.identity))
        except ClientError:
            return False
        return bool(answer.get("MetricAlarms", True))  # which CloudWatch lists, where others refuse

    def routes(self, api: str) -> set[str]:
        """Keys of the routes of an HTTP API, such as `GET /health`."""
        return {one["RouteKey"] for one in self.client("apigatewayv2").get_routes(ApiId=api)["Items"]}

    def variables(self, function: str) -> dict[str, str]:
        """Environment of a function."""
        made = self.client("lambda").get_function_configuration(FunctionName=function)
        variables: dict[str, str] = made.get("Environment", {}).get("Variables", {})
        return variables

    def secret(self, reference: str) -> str:
        """Value of a secret by a setting's reference to it.

        Raises:
            SecretUnavailable: if there is none.
        """
        try:
            found = self.client("secretsmanager").get_secret_value(SecretId=reference.removeprefix("secretsmanager:"))
        except ClientError as error:
            raise SecretUnavailable(str(error)) from None
        value: str = found["SecretString"]
        return value

    def mappings(self) -> dict[str, Any]:
        """Event source mappings by UUID."""
        pages = self.client("lambda").get_paginator("list_event_source_mappings").paginate()
        return {one["UUID"]: one for page in pages for one in page["EventSourceMappings"]}

    def schedules(self) -> dict[str, Any]:
        """Schedules by name."""
        scheduler = self.client("scheduler")
        return {
            one["Name"]: scheduler.get_schedule(Name=one["Name"]) for one in scheduler.list_schedules()["Schedules"]
        }

    def _wait(self, name: str, wanted: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            status = self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
            if not status.endswith("_IN_PROGRESS"):
                break
            time.sleep(POLL_S)
        if status != wanted:
            raise StackFailed(
                f"{name} is {status}, not {wanted}: {'; '.join(self._reasons(name)) or 'no reason given'}"
            )

    def _reasons(self, name: str) -> list[str]:
        events = self.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
        return [
            f"{one['LogicalResourceId']} ({one.get('ResourceType')}): {one['ResourceStatusReason']}"
            for one in reversed(events)
            if one["ResourceStatus"].endswith("_FAILED") and one.get("ResourceStatusReason")
        ]


def _given(parameters: Mapping[str, str]) -> dict[str, Any]:
    return {
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
