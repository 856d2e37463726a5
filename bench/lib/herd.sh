# shellcheck shell=bash
# What the upstream sends when many clients ask for the same cold blob at once. The counting front writes down the
# bytes of every answer.

measure_herd() {
    local clients server digest
    for clients in "${HERD_CLIENTS[@]}"; do
        say "herd: $clients clients at once"
        digest=$(push_random_blob herd "$COLD_BLOB_MIB")
        herd_round transship "$clients" "${URL[transship]}/v2/front/herd/blobs/$digest"
        herd_round proxy "$clients" "${URL[proxy]}/v2/herd/blobs/$digest"
    done
}

herd_round() {
    local server=$1 clients=$2 url=$3 started ended before
    before=$(wc --lines <"$WORK/front/sent.log")
    started=$EPOCHREALTIME
    herd_clients "$clients" "$url"
    ended=$EPOCHREALTIME
    wait_front_silent
    sample "herd_${clients}_upstream_ratio" "$server" "$(calculate "$(front_bytes_since "$before") / ($COLD_BLOB_MIB * $MIB)")"
    sample "herd_${clients}_seconds" "$server" "$(calculate "$ended - $started")"
}

# All clients in one curl; each must get the whole blob.
herd_clients() {
    local clients=$1 url=$2 client complete
    for client in $(seq "$clients"); do
        printf 'url = "%s"\noutput = "/dev/null"\n' "$url"
    done >"$WORK/herd.config"
    curl --silent --show-error --fail --parallel --parallel-immediate --parallel-max "$clients" \
        --write-out '%{http_code} %{size_download}\n' --config "$WORK/herd.config" \
        >"$WORK/herd.results" 2>"$WORK/herd.errors" \
        || fail "a client of the herd failed: $(grep curl: "$WORK/herd.errors")"
    complete=$(grep --count "^200 $((COLD_BLOB_MIB * MIB))$" "$WORK/herd.results")
    [ "$complete" -eq "$clients" ] || fail "only $complete of $clients clients got the whole blob"
}

# An answer is written down when it ends, which may be after the clients have all they want.
wait_front_silent() {
    local before=-1 now=0
    until [ "$now" -eq "$before" ]; do
        before=$now
        sleep 1
        now=$(wc --lines <"$WORK/front/sent.log")
    done
}

front_bytes_since() {
    tail --lines "+$(($1 + 1))" "$WORK/front/sent.log" | awk '$1 == "GET" && $2 ~ "/blobs/" { sum += $3 } END { printf "%.0f", sum }'
}
