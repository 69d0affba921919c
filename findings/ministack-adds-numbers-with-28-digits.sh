#!/usr/bin/env bash
# ministack's DynamoDB rounds what an update adds or subtracts to 28 digits, in silence; a number that is put keeps its 38.
#
# Expected: "Numbers can have up to 38 digits of precision. Exceeding this results in an exception"
# (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html), for ADD and SET as
# for a put; DynamoDB Local 3.3.1 answers 1000000000000000000000000000001 to the first, refuses the second with
# ValidationException, and answers 12345678901234567890123456788 to the third. Found: arithmetic has the 28 digits that
# Python's decimal has by default, so a large total takes a small event, says that it did, and is the same as before; and
# a sum of 39 digits, which has to be refused, is stored rounded. Totals below 10^28 are exact.
#
# Seen with ministack 1.5.33 and boto3 1.43.108:
# put 12345678901234567890123456789012345678: 12345678901234567890123456789012345678
# 1E30 ADD 1: 1000000000000000000000000000000
# 1E38 ADD 1: 100000000000000000000000000000000000000
# 12345678901234567890123456789 SET v - 1: 12345678901234567890123456790
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
for name in server client; do python3 -m venv "$work/$name"; done
"$work/server/bin/pip" install --quiet ministack==1.5.33
"$work/client/bin/pip" install --quiet boto3==1.43.108
cd "$work"
SERVICES=dynamodb BIND_HOST=127.0.0.1 GATEWAY_PORT=19200 "$work/server/bin/python" -m ministack >"$work/log" 2>&1 &
server=$!

seen=$("$work/client/bin/python" - <<'PYTHON'
import time

import boto3
from botocore.exceptions import EndpointConnectionError

KEY = {"player": {"S": "u-1"}}
access = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}
client = boto3.client("dynamodb", endpoint_url="http://127.0.0.1:19200", **access)
for _ in range(100):
    try:
        client.list_tables()
        break
    except EndpointConnectionError:
        time.sleep(0.1)
client.create_table(
    TableName="scores",
    BillingMode="PAY_PER_REQUEST",
    AttributeDefinitions=[{"AttributeName": "player", "AttributeType": "S"}],
    KeySchema=[{"AttributeName": "player", "KeyType": "HASH"}],
)


def put(value):
    client.put_item(TableName="scores", Item=KEY | {"v": {"N": value}})
    return client.get_item(TableName="scores", Key=KEY)["Item"]["v"]["N"]


def update(value, expression):
    put(value)
    values = {":one": {"N": "1"}}
    client.update_item(TableName="scores", Key=KEY, UpdateExpression=expression, ExpressionAttributeValues=values)
    return client.get_item(TableName="scores", Key=KEY)["Item"]["v"]["N"]


longest = "12345678901234567890123456789012345678"
print(f"put {longest}: {put(longest)}")
print("1E30 ADD 1:", update("1E30", "ADD v :one"))
print("1E38 ADD 1:", update("1E38", "ADD v :one"))
print("12345678901234567890123456789 SET v - 1:", update("12345678901234567890123456789", "SET v = v - :one"))
PYTHON
)
echo "$seen"
[ "$seen" = "put 12345678901234567890123456789012345678: 12345678901234567890123456789012345678
1E30 ADD 1: 1000000000000000000000000000000
1E38 ADD 1: 100000000000000000000000000000000000000
12345678901234567890123456789 SET v - 1: 12345678901234567890123456790" ]
