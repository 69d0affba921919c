"""The functions of a stack, run by ministack from an archive of their code in the image's place: each is called."""

import io
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

from redis import Redis

from infra.deploy_check.compare import Resource
from infra.deploy_check.engine import TEMPLATES, Engine
from infra.deploy_check.templates import ROOT, Template
from infra.local.config import HOST

CODE: Final = "code.zip"
PARTS: Final = ("functions", "shared")
SAMPLES: Final = ROOT / "events"
PLAYERS: Final = {"u-42", "josé", "u-7"}
"""Whose events `kafka-accepted.json` brings."""
FOUND_WITHIN_S: Final = 40
"""How long what goes through a queue may take: the first call of a function starts a process."""
NO_BROKER: Final = f"{HOST}:1"
TOKEN_S: Final = 3600


def archive(root: Path = ROOT) -> bytes:
    """The functions' code as the image has it. Their packages are those that this process runs on."""
    content = io.BytesIO()
    with ZipFile(content, "w") as made:
        for part in PARTS:
            for path in sorted((root / part).rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    made.write(path, path.relative_to(root))
    return content.getvalue()


def from_archive(template: Template, cache_port: int) -> None:
    """Make the functions of a transformed template run here: from the archive, with a cache of this machine."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            properties = resource["Properties"]
            del properties["PackageType"]
            properties["Handler"] = properties.pop("ImageConfig")["Command"][0]
            properties["Runtime"] = "python3.11"  # by which ministack takes the interpreter that it runs on
            properties["Code"] = {"S3Bucket": TEMPLATES, "S3Key": CODE}
            properties["Environment"]["Variables"] |= {
                "CACHE_URL": f"redis://{HOST}:{cache_port}",
                "CODE_VERSION": "0" * 40,
                "KAFKA_BOOTSTRAP_SERVERS": NO_BROKER,
                "POWERTOOLS_TRACE_DISABLED": "true",
            }


class Failed(Exception):
    """A call did not do what it should; the message says what it did."""


class Calls:
    """What calls the functions of a stack on AWS, in the order of a leaderboard's first minutes."""

    def __init__(self, engine: Engine, found: Mapping[str, Resource], cache_port: int) -> None:
        self._engine = engine
        self._found = found
        self._cache_port = cache_port

    def all(self) -> Iterator[tuple[str, str | None]]:
        """Each call by what it is, with what is wrong with its answer, or None."""
        steps: dict[str, Callable[[], None]] = {
            # while there is no leaderboard: else it waits for a broker
            "a schedule's event calls close": lambda: self._expect("CloseFunction", "close-schedule", "final"),
            "the gateway calls the API": self._gateway,
            "the API writes the registry": lambda: self._ask("put-leaderboard", 201),
            "ingest takes a batch": self._ingest,
            "the API reads the cache": self._rankings,
            "a queue calls repair": self._rebuild,
            "a queue calls export, which writes a file": self._export,
            "a schedule's event calls repair": lambda: self._expect("RepairFunction", "repair-schedule", "batchItem"),
        }
        self._protect_cache()
        for name, step in steps.items():
            try:
                step()
            except Failed as failed:
                yield name, f"{name}: {failed}"
            else:
                yield name, None

    def _protect_cache(self) -> None:
        """The cache asks for the password that the stack has made."""
        parts = self._engine.resources(self._found["Cache"].identity)
        with Redis(HOST, self._cache_port) as cache:
            cache.config_set("requirepass", self._engine.secret(parts["Password"].identity))

    def _gateway(self) -> None:
        """ministack makes no routes of a `Body`: one that takes all is made by hand."""
        gateway, api = self._engine.client("apigatewayv2"), self._found["HttpApi"].identity
        function = self._engine.client("lambda").get_function_configuration(FunctionName=self._name("ApiFunction"))
        made = gateway.create_integration(
            ApiId=api,
            IntegrationType="AWS_PROXY",
            PayloadFormatVersion="2.0",
            IntegrationUri=function["FunctionArn"],
        )
        gateway.create_route(ApiId=api, RouteKey="$default", Target=f"integrations/{made['IntegrationId']}")
        url = (
            self._engine.templates_url.removesuffix(f"/{TEMPLATES}/") + f"/_aws/execute-api/{api}/$default/health/live"
        )
        try:
            with urllib.request.urlopen(url, timeout=FOUND_WITHIN_S) as answer:  # noqa: S310 - ministack's
                said = json.load(answer)
        except (OSError, ValueError) as error:
            raise Failed(str(error)) from None
        if said.get("status") != "up":
            raise Failed(f"says {said}")

    def _ingest(self) -> None:
        said = self._call("IngestFunction", self._sample("kafka-accepted"))
        if said != {"batchItemFailures": []}:
            raise Failed(f"says {said}")

    def _rankings(self) -> None:
        entries = self._ask("rankings", 200)["entries"]
        if {one["userId"] for one in entries} != PLAYERS:
            raise Failed(f"shows {entries}")

    def _rebuild(self) -> None:
        self._ask("rebuild", 202)
        self._within(lambda: self._ask("rebuild-progress", 200)["state"], "complete")

    def _export(self) -> None:
        job = self._ask("export", 202)["id"]
        event = self._sample("api-export-job")
        event["rawPath"] = event["rawPath"].rpartition("/")[0] + f"/{job}"
        self._within(lambda: self._answer(event, 200)["state"], "done")
        bucket = self._found["ExportBucket"].identity
        listed = self._engine.client("s3").list_objects_v2(Bucket=bucket)
        if not listed.get("Contents"):
            raise Failed("there is no file")

    def _within(self, ask: Callable[[], str], wanted: str) -> None:
        deadline = time.monotonic() + FOUND_WITHIN_S
        while (status := ask()) != wanted:
            if time.monotonic() > deadline:
                raise Failed(f"is {status} after {FOUND_WITHIN_S} s, not {wanted}")
            time.sleep(0.5)

    def _expect(self, function: str, sample: str, word: str) -> None:
        said = json.dumps(self._call(function, self._sample(sample)))
        if word not in said:
            raise Failed(f"says {said}")

    def _ask(self, sample: str, status: int) -> Any:
        return self._answer(self._sample(f"api-{sample}"), status)

    def _answer(self, event: dict[str, Any], status: int) -> Any:
        said = self._call("ApiFunction", event)
        if said.get("statusCode") != status:
            raise Failed(f"answers {said.get('statusCode')}, not {status}: {said.get('body')}")
        return json.loads(said["body"])

    def _call(self, function: str, event: Mapping[str, Any]) -> Any:
        answer = self._engine.client("lambda").invoke(FunctionName=self._name(function), Payload=json.dumps(event))
        said = json.loads(answer["Payload"].read() or "null")
        if answer.get("FunctionError"):
            raise Failed(f"{function} fails: {said}")
        return said

    def _name(self, function: str) -> str:
        return self._found[function].identity

    def _sample(self, name: str) -> dict[str, Any]:
        """An event of `events/`, with a token of now."""
        event: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
        if "requestContext" in event:
            scopes = "leaderboards:read leaderboards:admin exports:read"
            claims = {"sub": "deploy-check", "scope": scopes, "exp": str(int(time.time()) + TOKEN_S)}
            event["requestContext"]["authorizer"] = {"jwt": {"claims": claims, "scopes": None}}
        return event
