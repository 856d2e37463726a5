# shellcheck shell=bash
# What was measured, with what, on what: printed above the table.

write_header() {
    local origin=${BUILT_FROM:-given with --binary}
    jq --null-input \
        --arg transship "$("$BINARY" version | cut -d ' ' -f 2) ($origin): 'serve' with default settings, log level info, JSON log with one line a request to a file, tag_ttl 5m" \
        --arg registry "$(docker-registry --version | awk '{ print $3 }'): as packaged by Debian (log level info to a file, blobdescriptor: inmemory), without password; in proxy mode with proxy.remoteurl" \
        --arg nginx "$(nginx -v 2>&1 | cut -d / -f 2): worker_processes 2, sendfile on, tcp_nopush on, access_log to a file with buffer=64k, keepalive_requests 1000000000" \
        --arg clients "$(curl --version | awk 'NR == 1 { print "curl " $2 }'), $({ wrk --version || true; } 2>&1 | awk 'NR == 1 { print "wrk " $2 }'), python $(python3 --version | cut -d ' ' -f 2), on the same machine" \
        --arg machine "$(nproc) x $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(awk '/MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r), load average at the end $(cut -d ' ' -f 1 /proc/loadavg)" \
        '{Machine: $machine, Transship: $transship, "docker-registry": $registry, nginx: $nginx, Clients: $clients}'
}
