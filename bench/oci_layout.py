"""Makes an OCI layout with one image of one gzip layer from a tar: oci_layout.py LAYER.tar LAYOUT."""

import gzip
import hashlib
import json
import os
import sys

PIECE = 1 << 20


def main(tar, layout):
    blobs = os.path.join(layout, "blobs", "sha256")
    os.makedirs(blobs)

    def keep(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as file:
            file.write(content)
        return {"mediaType": media_type, "digest": "sha256:" + digest, "size": len(content)}

    # The conversion compresses anew: the fastest level will do here.
    raw, path = hashlib.sha256(), os.path.join(blobs, "growing")
    with open(tar, "rb") as source, gzip.GzipFile(path, "wb", compresslevel=1, mtime=0) as target:
        while piece := source.read(PIECE):
            raw.update(piece)
            target.write(piece)
    compressed = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            compressed.update(piece)
    size, digest = os.path.getsize(path), compressed.hexdigest()
    os.rename(path, os.path.join(blobs, digest))
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:" + digest, "size": size}
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + raw.hexdigest()]},
        "history": [{"created": "2024-01-01T00:00:00Z"}],
    }
    config = keep(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    kind = "application/vnd.oci.image.manifest.v1+json"
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}
    entry = keep(json.dumps(manifest).encode(), kind)
    entry["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    entry["platform"] = {"os": "linux", "architecture": "amd64"}
    with open(os.path.join(layout, "index.json"), "w", encoding="utf-8") as file:
        json.dump({"schemaVersion": 2, "manifests": [entry]}, file)
    with open(os.path.join(layout, "oci-layout"), "w", encoding="utf-8") as file:
        file.write('{"imageLayoutVersion":"1.0.0"}')


main(*sys.argv[1:])
