#!/usr/bin/env bash
# `import redis` loads OpenTelemetry's metrics SDK as soon as some other package has installed it, though nobody asked for it.
#
# Expected: metrics of redis-py are an extra (`redis[otel]` in its metadata) that an application starts by
# get_observability_instance().init(), as redis/observability/providers.py describes; who does neither loads nothing of it.
# Found: that module imports opentelemetry.sdk.metrics at its top, inside a try, and `import redis` reaches it. Without the
# SDK the try fails and nothing is lost. With it, which tracing alone may have brought, the import takes dozens of modules
# more: here 0.14 s of CPU became 0.21 s, which a function on Lambda pays at each cold start.
# sys.modules["opentelemetry.sdk.metrics"] = None ahead of the import brings the first state back.
#
# Seen with redis 8.1.0 and opentelemetry-sdk 1.45.2 on Python 3.11 (the count may differ by version of Python):
# without the SDK: 0 modules of it
# with the SDK: 34 modules of it
# with the SDK, hidden: 0 modules of it
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet redis==8.1.0

count() {
  "$work/venv/bin/python" -c "
import sys
$1
import redis
print(sum(name.startswith('opentelemetry.sdk.') and module is not None for name, module in sys.modules.items()))"
}
without=$(count "")
"$work/venv/bin/pip" install --quiet opentelemetry-sdk==1.45.2
with=$(count "")
hidden=$(count "sys.modules['opentelemetry.sdk.metrics'] = None")
echo "without the SDK: $without modules of it"
echo "with the SDK: $with modules of it"
echo "with the SDK, hidden: $hidden modules of it"
[ "$without" = 0 ] && [ "$with" -ge 20 ] && [ "$hidden" = 0 ]
