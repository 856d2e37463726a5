#!/usr/bin/env bash
# Runs the helm lines of the recipe for GitHub Actions with the real helm, and pulls the chart back:  ci/helm.sh [program]
#
# Debian has no helm: it is a Go program, pinned below, and `go install` builds it where it is not yet. The lines are taken out
# of the recipe as they stand.
set -euo pipefail

module=helm.sh/helm/v3/cmd/helm
version=v3.16.4
recipe=docs/ci/github-actions.yml

cd "$(dirname "$0")/.."
program=${1:-}
if [ -z "$program" ]; then
    cargo build --locked
    program=${CARGO_TARGET_DIR:-target}/debug/transship
fi
command -v go >/dev/null || { echo "go is missing; helm is a Go program (1.22 or newer)" >&2; exit 1; }
program=$(realpath "$program")
steps=$(grep --only-matching 'printf .*helm registry login.*\|helm [a-z].*' "$recipe")
[ "$(wc -l <<<"$steps")" -eq 3 ] || { echo "$recipe has other lines with helm than login, package and push:" >&2; echo "$steps" >&2; exit 1; }

# shellcheck source=ci/serve.sh
source ci/serve.sh
GOBIN="$work/bin" go install "$module@$version"
serve hosted releases "kind: hosted"

mkdir "$work/checkout" "$work/home" "$work/back"
cd "$work/checkout"
export PATH="$work/bin:$PATH" HOME="$work/home"
export REGISTRY=$address GITHUB_REF_NAME=v1.4.0 TRANSSHIP_USERNAME=ci TRANSSHIP_PASSWORD
TRANSSHIP_PASSWORD=$(cat "$work/hosted/data/admin.token")
helm create chart >/dev/null
bash -euo pipefail -c "$steps"
for wanted in 1.4.0 '>=1.0.0'; do
    rm -f "$work"/back/*
    helm pull --plain-http "oci://$REGISTRY/releases/charts/chart" --version "$wanted" --destination "$work/back"
    cmp chart-1.4.0.tgz "$work/back/chart-1.4.0.tgz"
done
# Who does not log in pushes nothing.
helm registry logout "$REGISTRY"
if helm push --plain-http chart-1.4.0.tgz "oci://$REGISTRY/releases/other" 2>"$work/refused"; then
    echo "a push without a login was taken" >&2
    exit 1
fi
grep --quiet '401\|unauthorized\|basic credential' "$work/refused" || { cat "$work/refused" >&2; exit 1; }
echo "helm $version: a chart was pushed as the recipe has it and pulled back, byte by byte"
