# shellcheck shell=bash
# An eStargz image of a real Debian file system in the storage of a docker-registry: made once, kept in the cache folder.

# The parts of the root that go into it: some 1.2 GB in 50,000 files.
IMAGE_PARTS=(etc usr/bin usr/sbin usr/share)
# Not everybody's, whoever's machine it is.
IMAGE_LEFT_OUT=(--exclude=etc/shadow* --exclude=etc/gshadow* --exclude=etc/ssl/private --exclude=etc/ssh)

# make_estargz_image ROOT STORAGE: the image bench:1 in STORAGE, made from parts of ROOT.
make_estargz_image() {
    local root=$1 storage=$2 work=$2.making
    [ -e "$storage/complete" ] && return 0
    need_programs containerd ctr-remote docker-registry python3 tar
    say "making an eStargz image of $root (some minutes)"
    rm -rf "$work" "$storage"
    mkdir -p "$work/layout" "$storage"
    tar --create --sort=name --numeric-owner --directory "$root" "${IMAGE_LEFT_OUT[@]}" --file "$work/layer.tar" "${IMAGE_PARTS[@]}"
    python3 "$BENCH/oci_layout.py" "$work/layer.tar" "$work/layout"
    rm "$work/layer.tar"
    tar --create --directory "$work/layout" --file "$work/layout.tar" .
    rm -r "$work/layout"
    containerd_configuration "$work" >"$work/containerd.toml"
    start_server making-containerd containerd --config "$work/containerd.toml"
    local port
    port=$(free_ports 1)
    registry_storage_configuration "$port" "$storage" >"$work/registry.yml"
    start_server making-registry docker-registry serve "$work/registry.yml"
    wait_ready making-registry "http://127.0.0.1:$port/v2/"
    until ctr-remote --address "$work/socket" version >/dev/null 2>&1; do
        servers_still_run
        sleep 0.1
    done
    ctr_remote "$work" image import --no-unpack --index-name bench/plain:1 "$work/layout.tar"
    ctr_remote "$work" image convert --estargz --oci bench/plain:1 bench/estargz:1
    ctr_remote "$work" image push --plain-http "127.0.0.1:$port/bench:1" bench/estargz:1
    stop_server making-containerd
    stop_server making-registry
    rm -rf "$work"
    touch "$storage/complete"
}

ctr_remote() {
    local work=$1
    shift
    ctr-remote --address "$work/socket" "$@" >>"$work/ctr.log" 2>&1 || { tail -n 20 "$work/ctr.log" >&2; fail "ctr-remote $*"; }
}

containerd_configuration() {
    printf '%s\n' 'version = 2' "root = \"$1/root\"" "state = \"$1/state\"" \
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt",' \
        '"io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",' \
        '"io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]' \
        '[grpc]' "address = \"$1/socket\""
}

# registry_storage_configuration PORT STORAGE: a registry without upload checks that would need a database.
registry_storage_configuration() {
    printf '%s\n' 'version: 0.1' 'log: { level: warn }' \
        "storage: { filesystem: { rootdirectory: $2 }, delete: { enabled: true } }" "http: { addr: '127.0.0.1:$1' }"
}
