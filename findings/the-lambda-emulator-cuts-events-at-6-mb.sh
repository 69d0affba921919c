#!/usr/bin/env bash
# AWS's Lambda runtime interface emulator cuts an event of more than 6 MB and calls the function with what is left of it.
#
# Expected: Lambda refuses a synchronous call whose payload is larger than 6 MB with 413 RequestTooLargeException, and the
# function isn't called (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html, "Errors";
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html). The emulator does refuse an answer of that
# size, with 502 and Function.ResponseSizeTooLarge. Found: of an event it passes on the first 6,291,556 bytes. A function in
# Python then fails to parse its input, with 200 and an error about an unterminated string, which looks like a fault of the
# caller's JSON; a runtime that reads bytes, or JSON whose cut part was white space, works on half of an event.
#
# Seen with aws-lambda-rie of aws-sam-cli 1.170.0 and awslambdaric 4.2.2:
# 6291556 bytes: 200 6291554
# 6291557 bytes: 200 Runtime.UnmarshalError
# 7000007 bytes, the last 7000000 of them spaces: 200 7
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${emulator:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet aws-sam-cli==1.170.0 awslambdaric==4.2.2
case $(uname -m) in aarch64 | arm64) machine=arm64 ;; *) machine=x86_64 ;; esac
binary=$(find "$work/venv" -name "aws-lambda-rie-$machine" -type f | head -n 1)
cp "$binary" "$work/emulator"
chmod +x "$work/emulator"
cat >"$work/function.py" <<'PYTHON'
def handler(event, context):
    return len(event) if isinstance(event, str) else event["n"]
PYTHON
cd "$work"
"$work/emulator" --runtime-interface-emulator-address 127.0.0.1:19100 --runtime-api-address 127.0.0.1:19101 \
  "$work/venv/bin/python" -m awslambdaric function.handler >"$work/log" 2>&1 &
emulator=$!

seen=$("$work/venv/bin/python" - <<'PYTHON'
import time

import requests

URL = "http://127.0.0.1:19100/2015-03-31/functions/function/invocations"


def call(event):
    for _ in range(100):
        try:
            return requests.post(URL, data=event, timeout=60)
        except requests.ConnectionError:
            time.sleep(0.1)
    raise SystemExit("the emulator doesn't listen")


for size in (6_291_556, 6_291_557):
    answer = call('"' + "x" * (size - 2) + '"')
    said = answer.json()
    print(f"{size} bytes: {answer.status_code} {said['errorType'] if isinstance(said, dict) else said}")
answer = call('{"n":7}' + " " * 7_000_000)
print(f"7000007 bytes, the last 7000000 of them spaces: {answer.status_code} {answer.json()}")
PYTHON
)
echo "$seen"
[ "$seen" = "6291556 bytes: 200 6291554
6291557 bytes: 200 Runtime.UnmarshalError
7000007 bytes, the last 7000000 of them spaces: 200 7" ]
