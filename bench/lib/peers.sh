# shellcheck shell=bash
# The configuration of every server that takes part. $WORK/<name>/ holds what each of them writes.
#
#   plain      docker-registry, the upstream of everything and the "direct" way of the cold measures
#   proxy      docker-registry in proxy mode, upstream: front
#   front      nginx that hands everything to plain and writes down how many bytes it sent
#   nginx      nginx with the same content as plain files
#   transship  the program under test

declare -A URL=()

start_servers() {
    local ports
    read -ra ports < <(free_ports 5)
    URL=(
        [plain]=http://127.0.0.1:${ports[0]}
        [proxy]=http://127.0.0.1:${ports[1]}
        [front]=http://127.0.0.1:${ports[2]}
        [nginx]=http://127.0.0.1:${ports[3]}
        [transship]=http://127.0.0.1:${ports[4]}
    )
    say "starting docker-registry (plain, proxy), nginx (files, counting front) and transship in $WORK"
    start_registry plain "127.0.0.1:${ports[0]}" "$WORK/plain/storage"
    start_front
    start_registry proxy "127.0.0.1:${ports[1]}" "$WORK/proxy/storage" "${URL[front]}"
    start_nginx
    start_linked_registry
    start_transship
}

# start_registry NAME ADDRESS STORAGE [UPSTREAM]
start_registry() {
    local name=$1 address=$2 storage=$3 upstream=${4:-}
    mkdir -p "$WORK/$name"
    registry_configuration "$address" "$storage" "$upstream" >"$WORK/$name/config.yml"
    start_server "$name" docker-registry serve "$WORK/$name/config.yml"
    wait_ready "$name" "http://$address/v2/"
}

# As in the configuration file of the Debian package, without its password.
registry_configuration() {
    local address=$1 storage=$2 upstream=$3
    cat <<YAML
version: 0.1
log: { level: info }
storage:
  cache: { blobdescriptor: inmemory }
  filesystem: { rootdirectory: $storage }
  delete: { enabled: true }
http: { addr: "$address" }
YAML
    [ -z "$upstream" ] || echo "proxy: { remoteurl: \"$upstream\" }"
}

start_nginx() {
    mkdir -p "$WORK/nginx/files"
    nginx_configuration nginx "
    server {
        listen ${URL[nginx]#http://};
        root $WORK/nginx/files;
        default_type application/octet-stream;
        access_log $WORK/nginx/access.log combined buffer=64k flush=1s;
    }" >"$WORK/nginx/nginx.conf"
    start_server nginx nginx -e "$WORK/nginx/error.log" -c "$WORK/nginx/nginx.conf"
    wait_ready nginx "${URL[nginx]}/"
}

start_front() {
    mkdir -p "$WORK/front"
    nginx_configuration front "
    log_format sent '\$request_method \$uri \$body_bytes_sent';
    upstream plain {
        server ${URL[plain]#http://};
        keepalive 64;
    }
    server {
        listen ${URL[front]#http://};
        access_log $WORK/front/sent.log sent;
        location / {
            proxy_pass http://plain;
            proxy_http_version 1.1;
            proxy_set_header Connection '';
            proxy_set_header Host \$http_host;
            proxy_buffers 16 64k;
            proxy_max_temp_file_size 0;
        }
    }" >"$WORK/front/nginx.conf"
    start_server front nginx -e "$WORK/front/error.log" -c "$WORK/front/nginx.conf"
    wait_ready front "${URL[front]}/v2/"
}

nginx_configuration() {
    local name=$1 servers=$2 user=
    # Its workers would otherwise be somebody who may not look into $WORK.
    [ "$(id -u)" -ne 0 ] || user='user root;'
    cat <<CONF
$user
daemon off;
worker_processes 2;
pid $WORK/$name/pid;
events { worker_connections 4096; }
http {
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path $WORK/$name/body;
    proxy_temp_path $WORK/$name/proxy;
    fastcgi_temp_path $WORK/$name/fastcgi;
    uwsgi_temp_path $WORK/$name/uwsgi;
    scgi_temp_path $WORK/$name/scgi;
    $servers
}
CONF
}

start_transship() {
    mkdir -p "$WORK/transship"
    cat >"$WORK/transship/transship.yaml" <<YAML
listen: ["${URL[transship]#http://}"]
cache_dir: $WORK/transship/cache
repos:
  plain: { kind: proxy, upstream: "${URL[plain]}", internal: true, tag_ttl: 5m }
  front: { kind: proxy, upstream: "${URL[front]}", internal: true, tag_ttl: 5m }
YAML
    [ -z "$LINK" ] || cat >>"$WORK/transship/transship.yaml" <<YAML
  linked: { kind: proxy, upstream: "${URL[linked]}", internal: true, tag_ttl: 5m }
YAML
    start_server transship "$BINARY" serve --config "$WORK/transship/transship.yaml"
    wait_ready transship "${URL[transship]}/readyz"
}

# The same process afresh, with the same cache: for figures that must not carry what was measured before.
restart_transship() {
    stop_server transship
    start_transship
}
