# shellcheck shell=bash
# Messages on standard error, and the end of the run when something is wrong.

say() {
    printf 'bench: %s\n' "$*" >&2
}

fail() {
    say "FAILED: $*"
    exit 1
}

need_programs() {
    local program missing=()
    for program in "$@"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [ "${#missing[@]}" -eq 0 ] || fail "these programs are missing: ${missing[*]} (ci/install-peers.sh bench installs them)"
}
