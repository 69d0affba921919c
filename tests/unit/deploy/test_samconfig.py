"""samconfig.toml.example: what `sam deploy` needs, by the names of the template."""

import tomllib

from tests.support.template import PARAMETERS, ROOT, STACK

GIVEN = tomllib.loads((ROOT / "samconfig.toml.example").read_text())["default"]["deploy"]["parameters"]
OVERRIDES = dict(pair.split("=", 1) for pair in GIVEN["parameter_overrides"].split())
EITHER_OR = {"KafkaClusterArn"}
"""Empty by default, since Kafka need not be Amazon's."""


def test_it_gives_each_parameter_that_has_no_default_and_no_unknown_one() -> None:
    needed = {name for name, parameter in PARAMETERS.items() if "Default" not in parameter}
    assert OVERRIDES.keys() == needed | EITHER_OR


def test_the_image_is_one_of_the_repository_that_sam_asks_for() -> None:
    assert OVERRIDES["ImageUri"].startswith(f"{GIVEN['image_repository']}@sha256:")


def test_it_names_the_template_and_allows_what_the_template_holds() -> None:
    assert (ROOT / GIVEN["template_file"]).exists()
    assert "CAPABILITY_AUTO_EXPAND" in GIVEN["capabilities"], "for what is transformed and nested"
    assert STACK["Transform"] == "AWS::Serverless-2016-10-31"
