#!/usr/bin/env bash
# Installs the programs that Transship's tests (or its bench) run against: real registries, real clients.
#
#   ci/install-peers.sh          what `make test` needs
#   ci/install-peers.sh bench    what `make bench` and `make bench-starget` need
#
# As root on Debian it installs what is missing and starts none of the services that come with it. As anybody else it
# prints the command to run and ends with 1 when something is missing.
set -euo pipefail

case "${1:-test}" in
    test)  packages=(gcc libc6-dev docker-registry nginx-light docker.io containerd runc podman buildah skopeo umoci debootstrap apache2-utils stargz-snapshotter tmux zsh fish) ;;
    bench) packages=(gcc libc6-dev docker-registry nginx-light wrk curl jq openssl python3 iproute2 containerd skopeo stargz-snapshotter) ;;
    *)     echo "usage: $0 [test|bench]" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "This machine has no Debian packages. Install the equivalents of: ${packages[*]}" >&2
    exit 1
fi

missing=()
for package in "${packages[@]}"; do
    state=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
if [ "${#missing[@]}" -eq 0 ]; then
    echo "All of them are installed: ${packages[*]}"
    exit 0
fi

install=(apt-get install --yes --no-install-recommends "${missing[@]}")
if [ "$(id -u)" -ne 0 ]; then
    echo "Missing: ${missing[*]}" >&2
    echo "Install with: sudo ${install[*]}" >&2
    exit 1
fi

# The packages bring services (a registry on port 5000, a web server on port 80, dockerd) that the tests do not use:
# Debian's own switch keeps them from being started.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
"${install[@]}"
