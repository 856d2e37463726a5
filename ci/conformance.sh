#!/usr/bin/env bash
# Runs the official OCI conformance suite (opencontainers/distribution-spec, folder conformance) for the stable spec and the
# coming one:  ci/conformance.sh [program]
#
#   1. against a hosted repository, everything;
#   2. read-only, through a proxy repository of a second server whose upstream is that hosted repository.
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
for tool in go curl; do
    command -v "$tool" >/dev/null || { echo "$tool is missing; the conformance suite is a Go program (1.24 or newer)" >&2; exit 1; }
done

# shellcheck source=ci/serve.sh
source ci/serve.sh

GOBIN="$work/bin" go install "$suite@$version"

failed=0
# Runs the suite and reads its table. Further settings come from the environment.
suite() { # what it runs against, spec version, mode of the reader
    echo "--> OCI_VERSION=$2 against $1"
    local results status=0
    results=$(mktemp -d -p "$work")
    OCI_VERSION=$2 OCI_REGISTRY=$address OCI_TLS=disabled OCI_RESULTS_DIR=$results \
        "$work/bin/conformance" >"$results/report" 2>&1 || status=$?
    # Without pushes this version of the suite crashes after its tables, when it writes the same as YAML.
    [ "$3" = all ] || ! grep --quiet 'ReportResultsYAML' "$results/report" || status=0
    if [ "$status" -ne 0 ] || ! ci/conformance-results.sh "$2" "$3" <"$results/report"; then
        tail -n 100 "$results/report" >&2
        failed=1
    fi
}

serve hosted conformance "kind: hosted"
hosted=$address
password=$(cat "$work/hosted/data/admin.token")
for spec in $versions; do
    OCI_REPO1=conformance/repo1 OCI_REPO2=conformance/repo2 OCI_USERNAME=ci OCI_PASSWORD=$password \
        suite "a hosted repository" "$spec" all
done

CONFORMANCE_PASSWORD=$password ci/conformance-content.sh "http://$hosted" conformance/kept >"$work/content"
serve proxy conformance "kind: proxy, upstream: \"http://$hosted/conformance\", internal: true"
# The suite looks for the digest header only in answers whose body it knows, which are those that it pushed.
export OCI_API_MANIFESTS_DIGEST_HEADER=false
export OCI_API_PUSH=false OCI_API_BLOBS_DELETE=false OCI_API_MANIFESTS_DELETE=false OCI_API_TAGS_DELETE=false OCI_REPO1=conformance/kept
while IFS='=' read -r name value; do export "$name=$value"; done <"$work/content"
for spec in $versions; do
    suite "a proxy of it, read-only" "$spec" read-only
done
exit "$failed"
