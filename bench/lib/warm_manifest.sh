# shellcheck shell=bash
# Requests per second and latency of a manifest by tag that is in every cache.

INDEX_ACCEPT='Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json'

measure_warm_manifest() {
    local round server
    local -A urls
    say "warm manifest by tag: wrk for $WARM_MANIFEST_SECONDS s, $WARM_MANIFEST_ROUNDS rounds"
    push_image image v1
    cp "$WORK/index.json" "$WORK/nginx/files/manifest"
    urls=(
        [transship]=${URL[transship]}/v2/plain/image/manifests/v1
        [nginx]=${URL[nginx]}/manifest
        [plain]=${URL[plain]}/v2/image/manifests/v1
        [proxy]=${URL[proxy]}/v2/image/manifests/v1
    )
    for server in transship nginx plain proxy; do
        same_bytes "${urls[$server]}" "$WORK/index.json" "$INDEX_ACCEPT"
    done
    for round in $(seq "$WARM_MANIFEST_ROUNDS"); do
        for server in transship nginx plain proxy; do
            warm_manifest_round "$server" "${urls[$server]}"
        done
        say "warm manifest: round $round of $WARM_MANIFEST_ROUNDS done"
    done
}

warm_manifest_round() {
    local server=$1 url=$2 result ticks requests per_second p50 p99 failed
    ticks=$(cpu_ticks "$server")
    result=$(wrk --threads "$WARM_MANIFEST_THREADS" --connections "$WARM_MANIFEST_CONNECTIONS" \
        --duration "${WARM_MANIFEST_SECONDS}s" --header "$INDEX_ACCEPT" --script "$BENCH/wrk_summary.lua" "$url" \
        | grep '^summary ') || fail "wrk against $server failed"
    ticks=$(($(cpu_ticks "$server") - ticks))
    read -r _ requests per_second p50 p99 failed <<<"$result"
    [ "$failed" -eq 0 ] || fail "$failed requests to $server failed"
    sample warm_manifest_per_s "$server" "$per_second"
    sample warm_manifest_cpu_us "$server" "$(calculate "$ticks / $(getconf CLK_TCK) * 1e6 / $requests")"
    sample warm_manifest_p50_ms "$server" "$p50"
    sample warm_manifest_p99_ms "$server" "$p99"
}
