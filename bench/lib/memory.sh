# shellcheck shell=bash
# Resident memory of Transship while many clients read slowly. It is started afresh for each case, so that the highest
# value the kernel remembers is of that case.

measure_memory() {
    local digest index
    digest=$(push_random_blob memory "$WARM_BLOB_MIB" "$WORK/memory")
    same_bytes "${URL[transship]}/v2/plain/memory/blobs/$digest" "$WORK/memory"
    echo "${URL[transship]}/v2/plain/memory/blobs/$digest" >"$WORK/urls"
    memory_case warm "$MEMORY_BYTES_PER_SECOND"

    digest=$(push_random_blob memory "$WARM_BLOB_MIB")
    echo "${URL[transship]}/v2/plain/memory/blobs/$digest" >"$WORK/urls"
    memory_case cold "$MEMORY_BYTES_PER_SECOND"

    say "memory: pushing $MEMORY_STREAMS blobs"
    for index in $(seq "$MEMORY_STREAMS"); do
        digest=$(push_random_blob memory "$MEMORY_SMALL_MIB")
        echo "${URL[transship]}/v2/plain/memory/blobs/$digest"
    done >"$WORK/urls"
    memory_case fills "$MEMORY_SMALL_BYTES_PER_SECOND"
}

# memory_case NAME BYTES_PER_SECOND: readers of what is in $WORK/urls.
memory_case() {
    local name=$1 rate=$2 result during peak
    say "memory: $MEMORY_STREAMS slow readers, $name"
    restart_transship
    result=$(python3 "$BENCH/slow_readers.py" --urls "$WORK/urls" --streams "$MEMORY_STREAMS" --bytes-per-second "$rate" \
        --seconds "$MEMORY_SECONDS" --pid "${PIDS[transship]}") || fail "the slow readers ($name) failed"
    read -r during peak <<<"$result"
    sample "memory_${name}_mib" transship "$during"
    sample "memory_${name}_peak_mib" transship "$peak"
}
