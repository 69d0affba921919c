"""Secrets that settings refer to, so that none stands in a function's configuration."""

from typing import Any, Final

from shared.clients import SECRETS

REFERENCES: Final = ("secretsmanager:", "ssm:")


class SecretUnavailable(Exception):
    """There is no such secret, or it may not be read. The message is one line and does not hold it."""


def read_secret(reference: str) -> str:
    """The text of `secretsmanager:<name or ARN>` or of the parameter `ssm:<name>`, decrypted.

    Raises:
        SecretUnavailable: if it can't be read.
    """
    from aws_lambda_powertools.utilities import parameters  # noqa: PLC0415 - for who has references alone

    store, _, name = reference.partition(":")
    config = SECRETS.config()
    try:
        if store == "secretsmanager":
            found: Any = parameters.SecretsProvider(boto_config=config).get(name)
        else:
            found = parameters.SSMProvider(boto_config=config).get(name, decrypt=True)
    except parameters.GetParameterError as error:
        raise SecretUnavailable(" ".join(str(error).split())) from None
    if not isinstance(found, str):
        raise SecretUnavailable("it is no text")
    return found
