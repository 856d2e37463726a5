#!/usr/bin/env bash
# Compares starget with fetching the whole image, over a round trip of 20 ms, and prints one table.
#
#   bench/starget.sh [--root DIR] [--binary FILE] [--round-trip MS] [--window KIB] [--rounds N] [--keep]
#
# The image is made once of a Debian file system (this machine's, or that in DIR, for example one that debootstrap made) by
# ctr-remote, pushed to docker-registry, and kept in ${XDG_CACHE_HOME:-$HOME/.cache}/transship. Needs root, for containerd.
# What each figure means: bench/README.md. The table goes to standard output, progress to standard error.
set -euo pipefail

BENCH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$BENCH/.."
for part in say servers estargz_image; do
    # shellcheck source=/dev/null
    source "$BENCH/lib/$part.sh"
done

ROOT=/
BINARY=
ROUND_TRIP=20
WINDOW=6144
ROUNDS=3
KEEP=
while [ "$#" -gt 0 ]; do
    case "$1" in
        --root)       ROOT=${2:?--root needs a folder}; shift 2 ;;
        --binary)     BINARY=${2:?--binary needs a file}; shift 2 ;;
        --round-trip) ROUND_TRIP=${2:?--round-trip needs milliseconds}; shift 2 ;;
        --window)     WINDOW=${2:?--window needs KiB}; shift 2 ;;
        --rounds)     ROUNDS=${2:?--rounds needs a number}; shift 2 ;;
        --keep)       KEEP=yes; shift ;;
        *)            sed -n 's/^# \{0,1\}//; 2,8p' "$BENCH/starget.sh" >&2; exit 2 ;;
    esac
done

need_programs curl docker-registry python3 skopeo
if [ -z "$BINARY" ]; then
    say "building the release program"
    cargo build --release --locked --package starget >&2
    BINARY=${CARGO_TARGET_DIR:-target}/release/starget
fi

remove_link() { :; } # asked for at the end of every bench; there is none here
WORK=$(mktemp -d "${TMPDIR:-/tmp}/transship-bench.XXXXXX")
trap 'stop_everything' EXIT
trap 'exit 130' INT TERM

kept=${XDG_CACHE_HOME:-$HOME/.cache}/transship
mkdir -p "$kept"
storage=$kept/bench-estargz-$(printf %s "$ROOT" | tr -c 'a-zA-Z0-9' _)
make_estargz_image "$ROOT" "$storage"

read -r registry_port proxy_port < <(free_ports 2)
registry_storage_configuration "$registry_port" "$storage" >"$WORK/registry.yml"
start_server registry docker-registry serve "$WORK/registry.yml"
wait_ready registry "http://127.0.0.1:$registry_port/v2/"
start_server proxy python3 "$BENCH/delay_proxy.py" "$proxy_port" "$registry_port" "$ROUND_TRIP" "$WINDOW"
wait_ready proxy "http://127.0.0.1:$proxy_port/v2/"
python3 "$BENCH/starget_table.py" "$BINARY" "127.0.0.1:$proxy_port/bench:1" "$WORK" "$ROUND_TRIP" "$ROUNDS"
servers_still_run
