"""`python -m infra.deploy_check`: create, compare, update and delete whole stacks in a CloudFormation here."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table

from infra.deploy_check import calls, compare, examples
from infra.deploy_check.compare import Resource
from infra.deploy_check.engine import TEMPLATES, Engine, StackFailed, server
from infra.deploy_check.templates import ROOT, Package, check_out, commit_before, package
from infra.local import cache, packages
from infra.local.config import InvalidConfiguration
from infra.local.servers import PACKAGES, free_port

CONTRACT: Final = ROOT / "functions" / "api" / "openapi.json"
STACK: Final = "AWS::CloudFormation::Stack"
BLIND: Final = (
    "Not seen here: IAM, which is not enforced; CodeDeploy, which is taken out; whether AWS accepts every value; the\n"
    "image, in whose place functions run from an archive of their code; redrive, which needs a broker. Routes are\n"
    "those of the document that API Gateway imports, which ministack doesn't."
)


class Check:
    """One run: says what it does, and keeps what it found for the closing table."""

    def __init__(self, engine: Engine, sam: Path, console: Console) -> None:
        self._engine = engine
        self._sam = sam
        self._console = console
        self._start_s = time.monotonic()
        self._rows: list[tuple[str, str, int, list[str]]] = []

    def say(self, line: str) -> None:
        """A line of progress."""
        self._console.print(f"{time.monotonic() - self._start_s:5.1f} s  {line}", markup=False)

    def create(self, name: str, root: Path, parameters: Mapping[str, str]) -> None:
        """Create a stack from the templates of a directory, and compare it."""
        made, url = self._package(name, root, parameters)
        self.say(f"creating {name}: {len(made.stack['Resources'])} resources, without {', '.join(made.left_out)}")
        self._engine.create(name, url, declared(made, parameters))
        self._compare(name, f"{name}, created", made, parameters)

    def update(self, name: str, root: Path, parameters: Mapping[str, str]) -> None:
        """Update a stack to the templates of a directory, and compare it."""
        made, url = self._package(name, root, parameters)
        self.say(f"updating {name}")
        self._engine.update(name, url, declared(made, parameters))
        self._compare(name, f"{name}, updated", made, parameters)

    def delete(self, name: str) -> None:
        """Delete a stack, and look what is left."""
        wanted, found = self._engine.template(name)["Resources"], self._engine.resources(name)
        parts = [key for key, one in found.items() if one.kind == STACK]
        stacks = [found[key].identity for key in parts]
        inner = [(self._engine.template(one)["Resources"], self._engine.resources(one)) for one in stacks]
        self.say(f"deleting {name}")
        self._engine.delete(name)
        for part, (expected, had) in zip(["the stack", *parts], [(wanted, found), *inner], strict=True):
            known = {key: one for key, one in had.items() if self._engine.knows(one)}
            there = {key for key, one in known.items() if self._engine.has(one)}
            self._note(
                f"{name}, deleted", f"{part}: retained or gone", len(known), compare.left(expected, known, there)
            )

    def _package(self, name: str, root: Path, parameters: Mapping[str, str]) -> tuple[Package, str]:
        self.say(f"transforming the templates of {name}")
        made = package(root, self._sam, self._engine.templates_url, parameters)
        stack = f"{name}.template"
        self._engine.upload({stack: made.stack, **made.nested})
        return made, self._engine.templates_url + stack

    def _compare(self, name: str, what: str, made: Package, parameters: Mapping[str, str]) -> None:
        values = compare.values(made.stack, parameters)
        wanted, found = compare.wanted(made.stack, values), self._engine.resources(name)
        self._note(what, "resources", len(wanted), compare.resources(wanted, found))
        self._note(what, "resources as their services have them", *self._services(found))
        for key, one in wanted.items():
            if one["Type"] == STACK and key in found:
                self._nested(what, key, made.nested[one["Properties"]["TemplateURL"].rpartition("/")[2]], found[key])
        sources = compare.sources(wanted, found, self._engine.mappings())
        self._note(what, "event sources", _count(wanted, "AWS::Lambda::EventSourceMapping"), sources)
        schedules = compare.schedules(wanted, found, self._engine.schedules())
        self._note(what, "schedules", _count(wanted, "AWS::Scheduler::Schedule"), schedules)
        outputs = compare.wanted({**made.stack, "Resources": made.stack["Outputs"]}, values)
        missing = outputs.keys() - {key for key, value in self._engine.outputs(name).items() if value}
        self._note(what, "outputs", len(outputs), [f"output {key} is missing" for key in sorted(missing)])

    def code(self, name: str) -> None:
        """Compare a stack with the code that is here, which one of the templates before needn't fit."""
        made, found = self._engine.template(name), self._engine.resources(name)
        functions = {key: one.identity for key, one in found.items() if one.kind == "AWS::Lambda::Function"}
        environments = {key: self._engine.variables(function) for key, function in functions.items()}
        faults = [line for key, one in environments.items() for line in compare.settings(key, one, self._engine.secret)]
        self._note(name, "functions whose settings load", len(functions), faults)
        roles = compare.wanted(made, compare.values(made, self._engine.parameters(name)))
        self._note(name, "roles with the boundary", _count(roles, "AWS::IAM::Role"), compare.unbounded(roles))
        body, contract = made["Resources"]["HttpApi"]["Properties"]["Body"], json.loads(CONTRACT.read_text())
        self._note(name, "routes of the contract", len(contract["paths"]), compare.routes(body, contract))

    def run(self, name: str, parameters: Mapping[str, str], cache_port: int) -> None:
        """Create a stack whose functions run here, and call each."""
        made = package(ROOT, self._sam, self._engine.templates_url, parameters)
        calls.from_archive(made.stack, cache_port)
        stack = f"{name}.template"
        self._engine.upload({stack: made.stack, **made.nested})
        self._engine.client("s3").put_object(Bucket=TEMPLATES, Key=calls.CODE, Body=calls.archive())
        self.say(f"creating {name}, and calling its functions")
        self._engine.create(name, self._engine.templates_url + stack, parameters)
        for what, difference in calls.Calls(self._engine, self._engine.resources(name), cache_port).all():
            self._note(name, what, 1, [] if difference is None else [difference])

    def _nested(self, what: str, key: str, template: dict[str, Any], stack: Resource) -> None:
        parameters = compare.values(template, self._engine.parameters(stack.identity))
        wanted, found = compare.wanted(template, parameters), self._engine.resources(stack.identity)
        self._note(what, f"resources of {key}", len(wanted), compare.resources(wanted, found))
        self._note(what, f"resources of {key} as their services have them", *self._services(found))
        routes = [one["Properties"]["RouteKey"] for one in wanted.values() if one["Type"] == "AWS::ApiGatewayV2::Route"]
        if routes:
            has = self._engine.routes(found["Api"].identity)
            missing = [f"{key}: no route {one}" for one in routes if one not in has]
            self._note(what, f"routes of {key}", len(routes), missing)

    def _services(self, found: Mapping[str, Resource]) -> tuple[int, list[str]]:
        known = {key: one for key, one in found.items() if self._engine.knows(one)}
        return len(known), [
            f"{key}: {one.kind} {one.identity} is not there" for key, one in known.items() if not self._engine.has(one)
        ]

    def _note(self, what: str, looked_at: str, count: int, differences: list[str]) -> None:
        self._rows.append((what, looked_at, count, differences))
        for line in differences:
            self.say(f"DIFFERS: {line}")

    def failed(self, what: str, reason: str) -> None:
        """Note that a step could not be done at all."""
        self._note(what, "done at all", 0, [reason])

    def close(self) -> bool:
        """Print the table of everything looked at; whether nothing differs."""
        table = Table("stack", "looked at", "how many", "differ", width=110)
        for what, looked_at, count, differences in self._rows:
            table.add_row(what, looked_at, str(count), str(len(differences)) if differences else "-")
        self._console.print(table)
        self._console.print(BLIND, markup=False)
        return not any(differences for *_, differences in self._rows)


def declared(made: Package, parameters: Mapping[str, str]) -> dict[str, str]:
    """The parameters that a template has; the one before may not have all of today's."""
    return {name: value for name, value in parameters.items() if name in made.stack["Parameters"]}


def _count(wanted: Mapping[str, Any], kind: str) -> int:
    return sum(one["Type"] == kind for one in wanted.values())


def run(check: Check, engine: Engine, directory: Path) -> None:
    """Both sets of parameters; the smallest is updated from the templates before, and once with functions that run."""
    before = commit_before()
    name = "leaderboards"
    if before is None:
        check.say("no update is tried: this is no git clone with templates of a commit before")
        check.create(name, ROOT, examples.SMALLEST)
    else:
        check_out(before, directory)
        check.say(f"the templates before are those of {before[:12]}")
        check.create(name, directory, examples.SMALLEST)
        check.update(name, ROOT, examples.SMALLEST)
    check.code(name)
    check.delete(name)
    secret = engine.client("secretsmanager").create_secret(
        Name=examples.KAFKA_USER_NAMED, SecretString=examples.KAFKA_CREDENTIALS
    )
    check.create("everything", ROOT, examples.everything(secret["ARN"]))
    check.code("everything")
    check.delete("everything")
    port = free_port()
    with cache.cache_server(directory / "cache", port):
        check.run("running", examples.SMALLEST, port)


def main() -> int:
    """Run it all in a directory that is forgotten; 1 if anything differs or could not be done."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        packages.prepare_ministack(PACKAGES)
        packages.prepare_cache(PACKAGES, cache.chosen())
        sam = packages.prepare_sam(PACKAGES)
        with tempfile.TemporaryDirectory() as directory:
            before = Path(directory) / "before"
            before.mkdir()
            port = free_port()
            with server(Path(directory), port, PACKAGES):
                engine = Engine(port)
                check = Check(engine, sam, console)
                try:
                    run(check, engine, before)
                except (StackFailed, ClientError) as error:
                    check.failed("stack", str(error))
                return 0 if check.close() else 1
    except InvalidConfiguration as error:
        console.print(str(error), style="red", markup=False)
        return 1


sys.exit(main())
