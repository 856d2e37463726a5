#!/usr/bin/env bash
# Pushes one of each to a hosted repository, for the read-only part of the conformance suite: an image, an index of it, and
# an artifact that refers to the image:  ci/conformance-content.sh http://ADDRESS NAME
#
# The password of the login stands in CONFORMANCE_PASSWORD. Prints the suite's settings, to be exported.
set -euo pipefail

base=$1/v2/$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Not in the arguments: those are for every process to read.
printf 'user = "ci:%s"\n' "$CONFORMANCE_PASSWORD" >"$work/login"

send() { # method, path, media type, file
    curl --silent --show-error --fail-with-body --config "$work/login" --request "$1" --output "$work/answer" \
        --header "Content-Type: $3" --data-binary "@$4" "$base/$2" || { cat "$work/answer" >&2; exit 1; }
}
digest_of() { printf 'sha256:%s' "$(sha256sum "$1" | cut -d' ' -f1)"; }
blob() { send POST "blobs/uploads/?digest=$(digest_of "$1")" application/octet-stream "$1"; }
described() { # media type, file
    printf '{"mediaType":"%s","digest":"%s","size":%s}' "$1" "$(digest_of "$2")" "$(stat --format=%s "$2")"
}

oci=application/vnd.oci
layer=$work/layer config=$work/config empty=$work/empty
head -c 100000 /dev/urandom >"$layer"
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["%s"]}}' "$(digest_of "$layer")" >"$config"
printf '{}' >"$empty"
for file in "$layer" "$config" "$empty"; do blob "$file"; done

image=$work/image index=$work/index artifact=$work/artifact
printf '{"schemaVersion":2,"mediaType":"%s.image.manifest.v1+json","config":%s,"layers":[%s]}' "$oci" \
    "$(described $oci.image.config.v1+json "$config")" "$(described $oci.image.layer.v1.tar "$layer")" >"$image"
printf '{"schemaVersion":2,"mediaType":"%s.image.index.v1+json","manifests":[%s]}' "$oci" \
    "$(described $oci.image.manifest.v1+json "$image")" >"$index"
printf '{"schemaVersion":2,"mediaType":"%s.image.manifest.v1+json","artifactType":"application/vnd.example.note","config":%s,"layers":[%s],"subject":%s}' \
    "$oci" "$(described $oci.empty.v1+json "$empty")" "$(described $oci.empty.v1+json "$empty")" \
    "$(described $oci.image.manifest.v1+json "$image")" >"$artifact"
send PUT manifests/image "$oci.image.manifest.v1+json" "$image"
send PUT manifests/index "$oci.image.index.v1+json" "$index"
send PUT "manifests/$(digest_of "$artifact")" "$oci.image.manifest.v1+json" "$artifact"

cat <<SETTINGS
OCI_RO_DATA_TAGS=image index
OCI_RO_DATA_MANIFESTS=$(digest_of "$image") $(digest_of "$index") $(digest_of "$artifact")
OCI_RO_DATA_BLOBS=$(digest_of "$layer") $(digest_of "$config") $(digest_of "$empty")
OCI_RO_DATA_REFERRERS=$(digest_of "$image")
SETTINGS
