# shellcheck shell=bash
# Servers for the checks that are shell scripts: sourced, with $program set. All end with the script, by their own process ids, and
# their folders below $work with them.

work=$(mktemp -d)
servers=()
trap 'for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"' EXIT

# serve FOLDER KEY FIELDS: starts a server with one repository, in a folder of its own, and sets `address`.
serve() {
    mkdir "$work/$1"
    cat >"$work/$1/transship.yaml" <<YAML
listen: ["127.0.0.1:0"]
cache_dir: $work/$1/data
builtin_upstreams: false
log: { format: json }
repos:
  $2: { $3 }
YAML
    "$program" serve --config "$work/$1/transship.yaml" >"$work/$1/out" 2>"$work/$1/log" &
    servers+=($!)
    # Port 0: the output says which one it has become.
    address=
    for _ in $(seq 300); do
        address=$(grep --only-matching --no-filename '127\.0\.0\.1:[1-9][0-9]*' "$work/$1/out" "$work/$1/log" | head -1 || true)
        [ -z "$address" ] || return 0
        kill -0 "${servers[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    echo "the server did not say where it listens" >&2
    cat "$work/$1/log" >&2
    exit 1
}
