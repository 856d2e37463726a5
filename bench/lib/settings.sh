# shellcheck shell=bash
# shellcheck disable=SC2034 # read by the other parts
# How much is measured, and what the command line may change.

MIB=$((1 << 20))

WARM_BLOB_MIB=512
WARM_BLOB_ROUNDS=5
WARM_BLOB_CLIENTS=2
WARM_BLOB_REPEATS=4 # times each client fetches it in one round

WARM_MANIFEST_ROUNDS=3
WARM_MANIFEST_SECONDS=8
WARM_MANIFEST_THREADS=2
WARM_MANIFEST_CONNECTIONS=32

COLD_BLOB_MIB=100
COLD_BLOB_ROUNDS=7
LINK_RATE=1gbit

HERD_CLIENTS=(1 8 200)

MEMORY_STREAMS=500
MEMORY_SECONDS=15
MEMORY_BYTES_PER_SECOND=$MIB # of each reader
MEMORY_SMALL_MIB=4           # size of each blob when all streams are fills of their own
MEMORY_SMALL_BYTES_PER_SECOND=$((128 << 10))

BINARY=
BUILT_FROM= # the commit, when the program is built here
JSON=
KEEP=
ONLY=warm-blob,warm-manifest,cold-blob,herd,memory

read_arguments() {
    while [ "$#" -gt 0 ]; do
        case "$1" in
            --json)   JSON=${2:?--json needs a file}; shift 2 ;;
            --only)   ONLY=${2:?--only needs the names of measures}; shift 2 ;;
            --binary) BINARY=${2:?--binary needs a file}; shift 2 ;;
            --keep)   KEEP=yes; shift ;;
            *)        sed -n 's/^# \{0,1\}//; 2,8p' "$BENCH/run.sh" >&2; exit 2 ;;
        esac
    done
    local measure
    for measure in ${ONLY//,/ }; do
        case "$measure" in
            warm-blob | warm-manifest | cold-blob | herd | memory) ;;
            *) fail "there is no measure $measure" ;;
        esac
    done
}

build_release() {
    need_programs cargo
    say "building the release program"
    BUILT_FROM=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
    git diff --quiet HEAD -- crates Cargo.toml Cargo.lock 2>/dev/null || BUILT_FROM+=" with changes"
    cargo build --release --locked --package transship >&2
    BINARY=${CARGO_TARGET_DIR:-target}/release/transship
}
