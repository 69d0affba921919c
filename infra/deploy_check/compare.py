"""What a created stack has to be, by its transformed template and the code, and where it is not."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from infra.deploy_check.templates import Template
from shared.settings import InvalidSettings, load

COMPLETE: Final = ("CREATE_COMPLETE", "UPDATE_COMPLETE")
RETAINED: Final = ("Retain", "RetainExceptOnCreate")
GIVEN: Final = {"AWS_REGION": "eu-central-1", "CODE_VERSION": "0" * 40}
"""What Lambda and the image add to a function's variables."""
METHODS: Final = ("get", "put", "post", "delete", "patch")
DEFAULT: Final = "$default"
"""As which SAM writes the route of all that has none of its own."""


class Resource(NamedTuple):
    """A resource as the engine has it."""

    kind: str
    """CloudFormation's type."""
    status: str
    identity: str
    """Physical id: a name, ARN or URL, by type."""


def values(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Every parameter's value: the given one or the default."""
    defaults = {name: str(one["Default"]) for name, one in template.get("Parameters", {}).items() if "Default" in one}
    return defaults | dict(given)


def holds(template: Template, parameters: Mapping[str, str], name: str) -> bool:
    """Whether a condition of a template holds for the values of its parameters.

    Raises:
        ValueError: if it uses anything but `Ref`, `Equals`, `Not`, `And`, `Or` and `Condition`.
    """

    def test(given: Any) -> bool:
        ((kind, operands),) = given.items()
        match kind.removeprefix("Fn::"):
            case "Condition":
                return test(template["Conditions"][operands])
            case "Equals":
                left, right = (str(parameters[one["Ref"]] if isinstance(one, dict) else one) for one in operands)
                return left == right
            case "Not":
                return not test(operands[0])
            case "And":
                return all(map(test, operands))
            case "Or":
                return any(map(test, operands))
        raise ValueError(f"{name}: a condition by {kind} is not known here")

    return test({"Condition": name})


def wanted(template: Template, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The resources that a template makes of the values of its parameters, by logical id."""
    return {
        name: one
        for name, one in template["Resources"].items()
        if "Condition" not in one or holds(template, parameters, one["Condition"])
    }


def resources(wanted: Mapping[str, Any], found: Mapping[str, Resource]) -> list[str]:
    """Resources that are missing, unfinished, of another type, or too many."""
    missing = [f"{name} ({one['Type']}) is missing" for name, one in wanted.items() if name not in found]
    surplus = [f"{name} ({one.kind}) is not in the template" for name, one in found.items() if name not in wanted]
    other = []
    for name in sorted(wanted.keys() & found.keys()):
        one = found[name]
        if one.kind != wanted[name]["Type"]:
            other.append(f"{name} is {one.kind}, not {wanted[name]['Type']}")
        elif one.status not in COMPLETE:
            other.append(f"{name} is {one.status}")
        elif not one.identity:
            other.append(f"{name} has no physical id")
    return missing + surplus + other


def settings(name: str, variables: Mapping[str, str], secret: Callable[[str], str]) -> list[str]:
    """What the code says to a function's environment when it starts.

    Args:
        name: Logical id of the function.
        variables: Its environment in the engine.
        secret: Reads a secret by its reference, as `shared.secrets.read_secret` does.
    """
    try:
        load({**GIVEN, **variables}, secret)
    except InvalidSettings as error:
        return [f"{name}: {error}"]
    return []


def sources(
    wanted: Mapping[str, Any], found: Mapping[str, Resource], mappings: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Event source mappings whose source, function or way to answer is another than the template's.

    Args:
        wanted: Resources of the template.
        found: The same in the engine.
        mappings: As Lambda describes them, by UUID.
    """
    differences = []
    for name, one in _of(wanted, "AWS::Lambda::EventSourceMapping"):
        mapping = mappings.get(found[name].identity) if name in found else None
        if mapping is None:
            differences.append(f"{name}: Lambda has no such event source mapping")
            continue
        properties = one["Properties"]
        function = _target(properties["FunctionName"], found)
        if not mapping["FunctionArn"].endswith(function):
            differences.append(f"{name}: calls {mapping['FunctionArn']}, not {function}")
        queue = properties.get("EventSourceArn")
        source = _target(queue, found) if isinstance(queue, dict) and "Fn::GetAtt" in queue else ""
        if not mapping.get("EventSourceArn", "").endswith(source):
            differences.append(f"{name}: reads {mapping.get('EventSourceArn')}, not {source}")
        if mapping.get("FunctionResponseTypes", []) != properties.get("FunctionResponseTypes", []):
            differences.append(f"{name}: answers {mapping.get('FunctionResponseTypes')}")
        if mapping.get("State") not in ("Enabled", "Creating", "Enabling"):
            differences.append(f"{name}: is {mapping.get('State')}")
    return differences


def schedules(
    wanted: Mapping[str, Any], found: Mapping[str, Resource], made: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Schedules with another rate, target or input than the template's; `made` is the scheduler's, by name."""
    differences = []
    for name, one in _of(wanted, "AWS::Scheduler::Schedule"):
        schedule = made.get(found[name].identity) if name in found else None
        if schedule is None:
            differences.append(f"{name}: the scheduler has no such schedule")
            continue
        properties = one["Properties"]
        function = _target(properties["Target"]["Arn"], found)
        expected = (properties["ScheduleExpression"], properties["Target"].get("Input"), "ENABLED")
        has = (schedule["ScheduleExpression"], schedule["Target"].get("Input"), schedule["State"])
        if has != expected:
            differences.append(f"{name}: is {has}, not {expected}")
        if not schedule["Target"]["Arn"].endswith(function):
            differences.append(f"{name}: calls {schedule['Target']['Arn']}, not {function}")
    return differences


def unbounded(wanted: Mapping[str, Any]) -> list[str]:
    """Roles without the boundary of the parameter, as the transform wrote them, which makes most of them."""
    bounded = {"Fn::If": ["Bounded", {"Ref": "PermissionsBoundary"}, {"Ref": "AWS::NoValue"}]}
    return [
        f"{name}: has no boundary"
        for name, one in _of(wanted, "AWS::IAM::Role")
        if one["Properties"].get("PermissionsBoundary") != bounded
    ]


def routes(body: Mapping[str, Any], contract: Mapping[str, Any]) -> list[str]:
    """Operations of the API's contract that its gateway would refuse, or let in without the token they take.

    Args:
        body: OpenAPI document that the gateway imports.
        contract: OpenAPI document of the API.
    """
    differences = []
    for path, operations in contract["paths"].items():
        for method in operations.keys() & METHODS:
            route = _route(body["paths"], method, path)
            if route is None:
                differences.append(f"{method.upper()} {path}: no route")
                continue
            takes_token = bool(operations[method].get("security"))
            checked = any(scheme != "NONE" for one in route.get("security", []) for scheme in one)
            if checked != takes_token:
                has = "takes a token" if checked else "is open"
                differences.append(f"{method.upper()} {path}: {has} at the gateway, unlike in the contract")
    return sorted(differences)


def left(wanted: Mapping[str, Any], found: Mapping[str, Resource], there: Collection[str]) -> list[str]:
    """What a deleted stack has wrongly left or taken along: what is marked `Retain` stays, nothing else.

    Args:
        wanted: Resources of the template.
        found: The same in the engine, before the stack was deleted.
        there: Logical ids of those that their services still have.
    """
    differences = []
    for name in sorted(wanted.keys() & found.keys()):
        stays = wanted[name].get("DeletionPolicy") in RETAINED
        if stays and name not in there:
            differences.append(f"{name} was deleted, and is to be retained")
        elif not stays and name in there:
            differences.append(f"{name} is still there")
    return differences


def _of(wanted: Mapping[str, Any], kind: str) -> Iterable[tuple[str, Any]]:
    return [(name, one) for name, one in wanted.items() if one["Type"] == kind]


def _target(reference: Any, found: Mapping[str, Resource]) -> str:
    """End of the ARN of what a reference names; a logical id that is not there stands for itself."""
    name = reference["Ref"] if "Ref" in reference else reference["Fn::GetAtt"][0]
    identity = found[name].identity if name in found else name
    return identity if identity.startswith("arn:") else identity.rpartition("/")[2]


def _route(paths: Mapping[str, Any], method: str, path: str) -> Mapping[str, Any] | None:
    """The route that the gateway chooses: the one with the fewest variables, last the default."""
    parts = path.split("/")
    best: tuple[int, Mapping[str, Any]] | None = None
    for candidate, methods in paths.items():
        route = methods.get(method) or methods.get("x-amazon-apigateway-any-method")
        exact = -1 if candidate == DEFAULT else _exact(candidate.split("/"), parts)
        if route is not None and exact is not None and (best is None or exact > best[0]):
            best = exact, route
    return best[1] if best else None


def _exact(route: list[str], path: list[str]) -> int | None:
    """How many parts of a route are those of a path themselves; None if it doesn't fit."""
    if route[-1].endswith("+}"):
        path = [*path[: len(route) - 1], "/".join(path[len(route) - 1 :])]
    if len(route) != len(path) or bool(path[-1]) != bool(route[-1]):
        return None
    if any(one != other and not one.startswith("{") for one, other in zip(route, path, strict=True)):
        return None
    return sum(one == other and not one.startswith("{") for one, other in zip(route, path, strict=True))
