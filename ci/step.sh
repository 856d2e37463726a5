#!/usr/bin/env bash
# Runs one step of the checks and says how long it took:  ci/step.sh <name> <command...>
set -uo pipefail

name=$1
shift
echo "==> $name"
started=$(date +%s)
"$@"
status=$?
took=$(($(date +%s) - started))
if [ "$status" -eq 0 ]; then
    echo "==> $name: passed in $took s"
else
    echo "==> $name: FAILED with $status after $took s" >&2
fi
exit "$status"
