# shellcheck shell=bash
# What is pulled: random blobs and a small multi-platform image, pushed to the plain registry.

# push_random_blob REPOSITORY MIB [COPY]: prints its digest; keeps the bytes in the file COPY when that is given.
push_random_blob() {
    local repository=$1 bytes=$(($2 * MIB)) copy=${3:-} file digest
    file=${copy:-$WORK/random}
    head --bytes "$bytes" /dev/urandom >"$file"
    digest=$(push_blob "$repository" "$file")
    [ -n "$copy" ] || rm "$file"
    echo "$digest"
}

# push_blob REPOSITORY FILE: prints its digest.
push_blob() {
    local repository=$1 file=$2 digest location
    digest=sha256:$(sha256sum <"$file" | cut -d ' ' -f 1)
    location=$(curl --silent --show-error --fail --request POST --output /dev/null --write-out '%header{location}' \
        "${URL[plain]}/v2/$repository/blobs/uploads/") || fail "an upload cannot be started"
    curl --silent --show-error --fail --output /dev/null --upload-file "$file" "$location&digest=$digest" \
        || fail "a blob cannot be pushed"
    echo "$digest"
}

# push_manifest REPOSITORY REFERENCE FILE: of the media type in the file.
push_manifest() {
    curl --silent --show-error --fail --output /dev/null --request PUT --data-binary "@$3" \
        --header "Content-Type: $(jq --raw-output .mediaType "$3")" "${URL[plain]}/v2/$1/manifests/$2" \
        || fail "a manifest cannot be pushed"
}

# push_image REPOSITORY TAG: an index of two platforms with six layers each; leaves the index in $WORK/index.json.
push_image() {
    local repository=$1 tag=$2 platform manifest entries=()
    for platform in amd64 arm64; do
        manifest=$WORK/$platform.json
        platform_manifest "$repository" "$platform" >"$manifest"
        push_manifest "$repository" "$(file_digest "$manifest")" "$manifest"
        entries+=("$(descriptor "$manifest" application/vnd.oci.image.manifest.v1+json "$(file_digest "$manifest")" \
            | jq --arg platform "$platform" '. + {platform: {architecture: $platform, os: "linux"}}')")
    done
    printf '%s\n' "${entries[@]}" | jq --slurp \
        '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: .}' >"$WORK/index.json"
    push_manifest "$repository" "$tag" "$WORK/index.json"
}

platform_manifest() {
    local repository=$1 platform=$2 layer config=$WORK/config.json layers=()
    jq --null-input --arg platform "$platform" \
        '{architecture: $platform, os: "linux", rootfs: {type: "layers", diff_ids: []}}' >"$config"
    push_blob "$repository" "$config" >/dev/null
    for layer in 1 2 3 4 5 6; do
        head --bytes $((layer * 1000)) /dev/urandom >"$WORK/layer"
        layers+=("$(descriptor "$WORK/layer" application/vnd.oci.image.layer.v1.tar+gzip \
            "$(push_blob "$repository" "$WORK/layer")")")
    done
    printf '%s\n' "${layers[@]}" | jq --slurp \
        --argjson config "$(descriptor "$config" application/vnd.oci.image.config.v1+json "$(file_digest "$config")")" \
        '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: .}'
}

# descriptor FILE MEDIA_TYPE DIGEST
descriptor() {
    jq --null-input --arg type "$2" --arg digest "$3" --argjson size "$(stat --format %s "$1")" \
        '{mediaType: $type, digest: $digest, size: $size}'
}

file_digest() {
    echo "sha256:$(sha256sum <"$1" | cut -d ' ' -f 1)"
}

# same_bytes URL FILE [HEADER]: fetches once (which also warms the server) and compares.
same_bytes() {
    curl --silent --show-error --fail ${3:+--header "$3"} "$1" | cmp --quiet - "$2" || fail "$1 answers other bytes"
}
