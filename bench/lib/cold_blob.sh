# shellcheck shell=bash
# Time to first byte and total time of a blob that was never asked for before, through Transship and directly from its
# upstream: on loopback without a limit, and behind the shaped link. On loopback also the same work by plain tools: the
# time in which this machine fetches the blob directly and, at the same time, hashes and writes that many bytes, as
# a cache must that verifies and keeps what it passes on.

measure_cold_blob() {
    cold_blob_way loopback plain
    [ -z "$LINK" ] || cold_blob_way link linked
}

# cold_blob_way WAY UPSTREAM: the order changes from round to round, so that neither is always the second.
cold_blob_way() {
    local way=$1 upstream=$2 round digest direct through
    say "cold blob, $way: $COLD_BLOB_MIB MiB, $COLD_BLOB_ROUNDS rounds"
    for round in $(seq "$COLD_BLOB_ROUNDS"); do
        digest=$(push_random_blob cold "$COLD_BLOB_MIB" "$WORK/cold")
        direct=${URL[$upstream]}/v2/cold/blobs/$digest
        through=${URL[transship]}/v2/$upstream/cold/blobs/$digest
        if [ $((round % 2)) -eq 0 ]; then
            cold_blob_fetch "$way" plain "$direct"
            cold_blob_fetch "$way" transship "$through"
        else
            cold_blob_fetch "$way" transship "$through"
            cold_blob_fetch "$way" plain "$direct"
        fi
        [ "$way" != loopback ] || cold_blob_by_tools "$direct"
        same_bytes "$through" "$WORK/cold"
    done
}

cold_blob_fetch() {
    local way=$1 server=$2 url=$3 first total bytes
    read -r first total bytes < <(curl --silent --show-error --fail --output /dev/null \
        --write-out '%{time_starttransfer} %{time_total} %{size_download}\n' "$url") || fail "$url failed"
    [ "$bytes" -eq $((COLD_BLOB_MIB * MIB)) ] || fail "$url sent $bytes bytes"
    sample "cold_blob_${way}_ttfb_ms" "$server" "$(calculate "$first * 1000")"
    sample "cold_blob_${way}_total_ms" "$server" "$(calculate "$total * 1000")"
}

# cold_blob_by_tools URL: three processes side by side, so that none waits for another.
cold_blob_by_tools() {
    local url=$1 before after jobs=() job
    rm -f "$WORK/written"
    before=$EPOCHREALTIME
    curl --silent --show-error --fail --output /dev/null "$url" & jobs+=("$!")
    openssl dgst -sha256 -out /dev/null "$WORK/cold" & jobs+=("$!")
    dd if="$WORK/cold" of="$WORK/written" bs=512k status=none & jobs+=("$!")
    for job in "${jobs[@]}"; do
        wait "$job" || fail "plain tools failed"
    done
    after=$EPOCHREALTIME
    rm -f "$WORK/written"
    sample cold_blob_loopback_total_ms tools "$(calculate "($after - $before) * 1000")"
}
