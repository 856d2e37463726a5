#!/usr/bin/env bash
# Compares Transship with docker-registry and nginx on this machine, over loopback, and prints one table.
#
#   bench/run.sh [--json FILE] [--only MEASURE[,MEASURE]] [--binary FILE] [--keep]
#
# Measures: warm-blob, warm-manifest, cold-blob, herd, memory; all by default. What each figure means and how it is
# taken: bench/README.md. The table goes to standard output, progress to standard error. Ends with 1 when a server or
# a client failed; a target that is missed is shown in the table and is no failure.
set -euo pipefail

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$BENCH/.."
for part in say settings servers peers link content samples warm_blob warm_manifest cold_blob herd memory header; do
    # shellcheck source=/dev/null
    source "$BENCH/lib/$part.sh"
done

read_arguments "$@"
need_programs curl docker-registry jq nginx openssl python3 sha256sum wrk
[ -n "$BINARY" ] || build_release

WORK=$(mktemp -d "${TMPDIR:-/tmp}/transship-bench.XXXXXX")
SAMPLES=$WORK/samples.jsonl
: >"$SAMPLES"
trap 'stop_everything' EXIT
trap 'exit 130' INT TERM

start_servers
for measure in ${ONLY//,/ }; do
    "measure_${measure//-/_}"
    servers_still_run
done
write_header >"$WORK/header.json"
python3 "$BENCH/table.py" --header "$WORK/header.json" --samples "$SAMPLES" ${JSON:+--json "$JSON"}
