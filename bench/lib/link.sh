# shellcheck shell=bash
# A second docker-registry over the storage of the plain one, behind a link of $LINK_RATE: a network namespace of its
# own, whose end of a veth pair is shaped by a token bucket. Needs root and tc; without them this way is left out.

LINK=
LINK_NAMESPACE=transship-bench-$$
LINK_HOST_ADDRESS=198.18.77.1 # of the range that RFC 2544 sets aside for benchmarks
LINK_PEER_ADDRESS=198.18.77.2

start_linked_registry() {
    if ! make_link 2>"$WORK/link.log"; then
        say "no shaped link (it needs root, ip and tc): cold blobs over $LINK_RATE are left out"
        remove_link
        return 0
    fi
    LINK=yes
    URL[linked]=http://$LINK_PEER_ADDRESS:5000
    mkdir -p "$WORK/linked"
    registry_configuration "$LINK_PEER_ADDRESS:5000" "$WORK/plain/storage" "" >"$WORK/linked/config.yml"
    start_server linked ip netns exec "$LINK_NAMESPACE" docker-registry serve "$WORK/linked/config.yml"
    wait_ready linked "${URL[linked]}/v2/"
}

make_link() {
    local inside=(ip netns exec "$LINK_NAMESPACE") outer=tsb$$h inner=tsb$$n
    ip netns add "$LINK_NAMESPACE" \
        && ip link add "$outer" type veth peer name "$inner" \
        && ip link set "$inner" netns "$LINK_NAMESPACE" \
        && ip address add "$LINK_HOST_ADDRESS/30" dev "$outer" \
        && ip link set "$outer" up \
        && "${inside[@]}" ip address add "$LINK_PEER_ADDRESS/30" dev "$inner" \
        && "${inside[@]}" ip link set "$inner" up \
        && "${inside[@]}" ip link set lo up \
        && "${inside[@]}" tc qdisc add dev "$inner" root tbf rate "$LINK_RATE" burst 256kb latency 50ms
}

# The devices go with the namespace.
remove_link() {
    if command -v ip >/dev/null && ip netns list 2>/dev/null | grep -q "^$LINK_NAMESPACE\b"; then
        ip netns delete "$LINK_NAMESPACE"
    fi
}
