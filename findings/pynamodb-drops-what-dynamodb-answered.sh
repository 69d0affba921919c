#!/usr/bin/env bash
# PynamoDB's ClientError has lost the HTTP status, the request id and the reasons of a cancelled transaction.
#
# Expected: PynamoDB's exceptions have the botocore ClientError as `cause`
# (https://pynamodb.readthedocs.io/en/stable/api.html, exceptions), and a ClientError's `response` has ResponseMetadata
# with HTTPStatusCode and RequestId (https://boto3.amazonaws.com/v1/documentation/api/latest/guide/error-handling.html);
# of a cancelled transaction it has CancellationReasons, too. Found: `cause` is a VerboseClientError that was made anew
# with `Error` alone. Who tells passing failures from lasting ones by the status (5xx with a code that is new), or gives
# AWS the request id, finds neither there; what botocore raised is one step further, in `cause.__cause__`.
#
# Seen with pynamodb 6.1.0, botocore 1.44.8 (moto 5.2.5 answers in place of AWS):
# cause: VerboseClientError ['Error']; its cause: TransactionCanceledException with CancellationReasons, ResponseMetadata
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pynamodb==6.1.0 boto3==1.44.8 botocore==1.44.8 'moto[dynamodb]==5.2.5'

seen=$(AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_DEFAULT_REGION=eu-central-1 "$work/venv/bin/python" - <<'PYTHON'
from moto import mock_aws

with mock_aws():
    from pynamodb.attributes import UnicodeAttribute
    from pynamodb.connection import Connection
    from pynamodb.exceptions import TransactWriteError
    from pynamodb.models import Model
    from pynamodb.transactions import TransactWrite

    class Account(Model):
        class Meta:
            table_name = "accounts"
            region = "eu-central-1"

        name = UnicodeAttribute(hash_key=True)

    Account.create_table(billing_mode="PAY_PER_REQUEST", wait=True)
    Account("ann").save()
    try:
        with TransactWrite(connection=Connection(region="eu-central-1")) as transaction:
            transaction.save(Account("ann"), condition=Account.name.does_not_exist())
            transaction.save(Account("bob"))
    except TransactWriteError as error:
        cause, first = error.cause, error.cause.__cause__
        kept = [name for name in ("CancellationReasons", "ResponseMetadata") if name in first.response]
        print(f"cause: {type(cause).__name__} {sorted(cause.response)}; ", end="")
        print(f"its cause: {type(first).__name__} with {', '.join(kept)}")
PYTHON
)
echo "$seen"
wanted="cause: VerboseClientError ['Error']; its cause: TransactionCanceledException"
[ "$seen" = "$wanted with CancellationReasons, ResponseMetadata" ]
