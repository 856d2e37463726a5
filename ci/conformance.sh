#!/usr/bin/env bash
# Runs the official OCI conformance suite (opencontainers/distribution-spec, folder conformance) against a hosted repository
# of the program, for the stable spec and the coming one:  ci/conformance.sh [program]
#
# The suite is a Go program, pinned below; `go install` builds it where it is not yet. It ends with 0 also when it skipped
# something, so the table of its results is read, and every API that the spec version has must have passed.
set -euo pipefail

suite=github.com/opencontainers/distribution-spec/conformance
version=v0.0.0-20260831232431-97274622c111
versions="1.1 dev"

cd "$(dirname "$0")/.."
program=${1:-}
if [ -z "$program" ]; then
    cargo build --locked
    program=${CARGO_TARGET_DIR:-target}/debug/transship
fi
command -v go >/dev/null || { echo "go is missing: the conformance suite is a Go program (1.24 or newer)" >&2; exit 1; }

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT

GOBIN="$work/bin" go install "$suite@$version"

cat >"$work/transship.yaml" <<YAML
listen: ["127.0.0.1:0"]
cache_dir: $work/data
builtin_upstreams: false
log: { format: json }
repos:
  conformance: { kind: hosted }
YAML
"$program" serve --config "$work/transship.yaml" >"$work/out" 2>"$work/log" &
server=$!

# Port 0: the log says which one it has become.
address=
for _ in $(seq 300); do
    address=$(sed -n 's/.*"addresses*":"\?\[\?"\?\(127\.0\.0\.1:[0-9]*\).*/\1/p' "$work/log" | head -1)
    [ -n "$address" ] || address=$(grep -o '127\.0\.0\.1:[1-9][0-9]*' "$work/out" | head -1 || true)
    [ -z "$address" ] || break
    kill -0 "$server" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done
[ -n "$address" ] || { echo "the server did not say where it listens" >&2; cat "$work/log" >&2; exit 1; }

failed=0
for spec in $versions; do
    echo "--> OCI_VERSION=$spec against $address"
    status=0
    OCI_VERSION=$spec OCI_REGISTRY=$address OCI_TLS=disabled \
        OCI_REPO1=conformance/repo1 OCI_REPO2=conformance/repo2 \
        OCI_USERNAME=ci OCI_PASSWORD=$(cat "$work/data/admin.token") \
        OCI_RESULTS_DIR="$work/results-$spec" "$work/bin/conformance" >"$work/run-$spec" 2>&1 || status=$?
    if [ "$status" -ne 0 ] || ! ci/conformance-results.sh "$spec" <"$work/run-$spec"; then
        tail -n 100 "$work/run-$spec" >&2
        failed=1
    fi
done
exit "$failed"
