# SPDX-License-Identifier: Apache-2.0
"""Images made by hand: layers, configurations, manifests and indexes as bytes, and OCI layouts of them."""
import gzip
import hashlib
import io
import json
import os
import tarfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def dumps(doc):
    return json.dumps(doc, separators=(",", ":")).encode()


def tar(files):
    """files: {name: bytes | None for a directory}; the bytes of the tar, always the same."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.mtime = 1700000000
            if data is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                t.addfile(info)
            else:
                info.size, info.mode = len(data), 0o755
                t.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Layer:
    """A layer: `blob` as a registry has it, `diff_id` of the tar in it."""

    def __init__(self, data, compression="gzip", media_type=None, level=1):
        self.tar = data
        self.diff_id = digest(data)
        if compression == "gzip":
            self.blob = gzip.compress(data, level, mtime=0)
        elif compression == "zstd":
            import subprocess
            self.blob = subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout
        else:
            self.blob = data
        self.digest = digest(self.blob)
        self.media_type = media_type or LAYER + {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[compression]

    def descriptor(self):
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.blob)}


class Image:
    """One platform's image: blobs by digest, `manifest` bytes, `media_type`."""

    def __init__(self, layers, platform="linux/amd64", docker=False, config=None, manifest=None):
        self.layers = layers
        self.platform = platform
        parts = platform.split("/")
        doc = {"created": "2024-01-01T00:00:00Z", "architecture": parts[1], "os": parts[0],
               "config": {"Cmd": ["/bin/true"], "Env": ["PATH=/bin"]},
               "rootfs": {"type": "layers", "diff_ids": [x.diff_id for x in layers]}}
        if len(parts) > 2:
            doc["variant"] = parts[2]
        doc.update(config or {})
        self.config = dumps(doc)
        self.config_digest = digest(self.config)
        self.media_type = DOCKER_MANIFEST if docker else MANIFEST
        body = {"schemaVersion": 2, "mediaType": self.media_type,
                "config": {"mediaType": DOCKER_CONFIG if docker else CONFIG, "digest": self.config_digest,
                           "size": len(self.config)},
                "layers": [dict(x.descriptor(), **({"mediaType": DOCKER_LAYER} if docker else {})) for x in layers]}
        body.update(manifest or {})
        self.manifest = dumps(body)
        self.digest = digest(self.manifest)

    def blobs(self):
        out = {x.digest: x.blob for x in self.layers}
        out[self.config_digest] = self.config
        return out

    def descriptor(self):
        parts = self.platform.split("/")
        where = {"os": parts[0], "architecture": parts[1]}
        if len(parts) > 2:
            where["variant"] = parts[2]
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.manifest), "platform": where}


class Index:
    """A multi-architecture image."""

    def __init__(self, images, docker=False, extra=()):
        self.images = images
        self.media_type = DOCKER_LIST if docker else INDEX
        self.manifest = dumps({"schemaVersion": 2, "mediaType": self.media_type,
                               "manifests": list(extra) + [x.descriptor() for x in images]})
        self.digest = digest(self.manifest)


def simple(text="hello", layers=1, compression="gzip", **kw):
    """A small image with `layers` layers whose files say `text`."""
    return Image([Layer(tar({"bin": None, "bin/true": b"#!\n", "text%d" % i: ("%s %d\n" % (text, i)).encode()}),
                        compression) for i in range(layers)], **kw)


def layout(image, directory, tag="latest"):
    """Writes an OCI layout of an Image or an Index; its path is returned."""
    blobs = os.path.join(directory, "blobs", "sha256")
    os.makedirs(blobs, exist_ok=True)
    members = image.images if isinstance(image, Index) else [image]
    parts = {image.digest: image.manifest}
    for m in members:
        parts.update(m.blobs())
        parts[m.digest] = m.manifest
    for name, data in parts.items():
        with open(os.path.join(blobs, name.split(":")[1]), "wb") as f:
            f.write(data)
    with open(os.path.join(directory, "oci-layout"), "w") as f:
        f.write('{"imageLayoutVersion":"1.0.0"}')
    with open(os.path.join(directory, "index.json"), "wb") as f:
        f.write(dumps({"schemaVersion": 2, "manifests": [{
            "mediaType": image.media_type, "digest": image.digest, "size": len(image.manifest),
            "annotations": {"org.opencontainers.image.ref.name": tag}}]}))
    return directory
