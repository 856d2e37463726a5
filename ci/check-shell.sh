#!/usr/bin/env bash
# Parses every shell script of the repository without running it.
set -euo pipefail

cd "$(dirname "$0")/.."
failed=0
while IFS= read -r script; do
    bash -n "$script" || failed=1
done < <(find . -name target -prune -o -path ./.git -prune -o -type f \( -name '*.sh' -o -path './.ci/run' \) -print | sort)
exit "$failed"
