# shellcheck shell=bash
# Starts and ends servers, each in a folder of its own under $WORK, and reads what the kernel says of them. A server is
# ended by the process id it was started with, never by its name.

declare -A PIDS=()

# start_server NAME COMMAND...: in the folder $WORK/NAME; its outputs go to stdout and log there.
start_server() {
    local name=$1
    shift
    mkdir -p "$WORK/$name"
    "$@" >>"$WORK/$name/stdout" 2>>"$WORK/$name/log" </dev/null &
    PIDS[$name]=$!
}

# wait_ready NAME URL: until it answers anything below 500.
wait_ready() {
    local name=$1 url=$2 attempt status
    for attempt in $(seq 200); do
        kill -0 "${PIDS[$name]}" 2>/dev/null || break
        status=$(curl --silent --output /dev/null --write-out '%{http_code}' --max-time 2 "$url" || true)
        # It is asked again whether it lives: another process may be the one that answers on this port.
        if [ "$status" -ge 100 ] && [ "$status" -lt 500 ] && kill -0 "${PIDS[$name]}" 2>/dev/null; then
            return 0
        fi
        sleep 0.05
    done
    tail -n 20 "$WORK/$name/log" >&2
    fail "$name did not start ($attempt attempts)"
}

# stop_server NAME: SIGTERM, and SIGKILL when that has no effect for ten seconds.
stop_server() {
    local name=$1 pid=${PIDS[$1]} attempt
    unset "PIDS[$name]"
    kill -TERM "$pid" 2>/dev/null || true
    for attempt in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        [ "$attempt" -lt 100 ] || { say "$name did not end, killing it"; kill -KILL "$pid" 2>/dev/null || true; }
        sleep 0.1
    done
    wait "$pid" 2>/dev/null || true
}

servers_still_run() {
    local name
    for name in "${!PIDS[@]}"; do
        kill -0 "${PIDS[$name]}" 2>/dev/null || { tail -n 20 "$WORK/$name/log" >&2; fail "$name has ended"; }
    done
}

stop_everything() {
    local status=$? name
    trap - EXIT
    for name in "${!PIDS[@]}"; do
        stop_server "$name"
    done
    remove_link
    if [ -n "$KEEP" ]; then
        say "logs and samples are kept in $WORK"
    else
        rm -rf "$WORK"
    fi
    exit "$status"
}

# processes_of NAME: its process id and those of its children (nginx has workers).
processes_of() {
    local pid=${PIDS[$1]}
    echo "$pid $(cat "/proc/$pid/task/$pid/children")"
}

# cpu_ticks NAME: user and system time of all its processes so far, in clock ticks.
cpu_ticks() {
    local pid total=0 line fields
    for pid in $(processes_of "$1"); do
        line=$(<"/proc/$pid/stat")
        read -ra fields <<<"${line##*) }"
        total=$((total + fields[11] + fields[12]))
    done
    echo "$total"
}

# free_ports COUNT: that many different ones nobody listens on.
free_ports() {
    python3 - "$1" <<'PYTHON'
import socket, sys
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[s.getsockname()[1] for s in sockets])
PYTHON
}
