# shellcheck shell=bash
# Throughput of a blob that is in every cache, and the server's CPU time for it.

measure_warm_blob() {
    local digest path round server
    local -A urls
    say "warm blob: $WARM_BLOB_MIB MiB, $WARM_BLOB_CLIENTS clients, $WARM_BLOB_ROUNDS rounds"
    digest=$(push_random_blob warm "$WARM_BLOB_MIB" "$WORK/nginx/files/blob")
    path=v2/warm/blobs/$digest
    urls=(
        [transship]=${URL[transship]}/v2/plain/warm/blobs/$digest
        [nginx]=${URL[nginx]}/blob
        [plain]=${URL[plain]}/$path
    )
    for server in transship nginx plain; do
        same_bytes "${urls[$server]}" "$WORK/nginx/files/blob"
    done
    for round in $(seq "$WARM_BLOB_ROUNDS"); do
        for server in transship nginx plain; do
            warm_blob_round "$server" "${urls[$server]}"
        done
        say "warm blob: round $round of $WARM_BLOB_ROUNDS done"
    done
}

warm_blob_round() {
    local server=$1 url=$2 client pid clients=() bytes ticks seconds started ended
    bytes=$((WARM_BLOB_MIB * MIB * WARM_BLOB_REPEATS * WARM_BLOB_CLIENTS))
    ticks=$(cpu_ticks "$server")
    started=$EPOCHREALTIME
    for client in $(seq "$WARM_BLOB_CLIENTS"); do
        warm_blob_client "$url" >"$WORK/client.$client" 2>"$WORK/client.$client.time" &
        clients+=("$!")
    done
    for pid in "${clients[@]}"; do
        wait "$pid" || fail "a client of $server failed: $(cat "$WORK"/client.*.time)"
    done
    ended=$EPOCHREALTIME
    ticks=$(($(cpu_ticks "$server") - ticks))
    [ "$(awk '{ sum += $1 } END { printf "%.0f", sum }' "$WORK"/client.?)" -eq "$bytes" ] || fail "$server sent too little"
    seconds=$(awk '{ sum += $1 + $2 } END { print sum }' "$WORK"/client.?.time)
    sample warm_blob_gb_per_s "$server" "$(calculate "$bytes / 1e9 / ($ended - $started)")"
    sample warm_blob_cpu_s_per_gb "$server" "$(calculate "$ticks / $(getconf CLK_TCK) / ($bytes / 1e9)")"
    sample warm_blob_both_cpu_s_per_gb "$server" "$(calculate "($ticks / $(getconf CLK_TCK) + $seconds) / ($bytes / 1e9)")"
}

# One curl that fetches the blob several times over one connection. Its CPU time goes to standard error.
warm_blob_client() {
    local repeat arguments=() TIMEFORMAT='%U %S'
    for repeat in $(seq "$WARM_BLOB_REPEATS"); do
        arguments+=(--output /dev/null "$1")
    done
    time curl --silent --show-error --fail --write-out '%{size_download}\n' "${arguments[@]}"
}
