# SPDX-License-Identifier: Apache-2.0
"""push: whole and in chunks, mounted, several platforms; and what other clients make of it."""
import json
import os
import shutil
import subprocess

import pytest

from harness import faultproxy, ociimage as oci
from test_pull import big_layer


def retag(fetcher, image, source, target):
    """A second name in the store, as `coffer tag` writes it."""
    import sqlite3
    db = sqlite3.connect(os.path.join(fetcher.root, "coffer.db"))
    rows = db.execute("SELECT platform, image FROM name WHERE name = ?", (source,)).fetchall()
    assert rows
    for platform, i in rows:
        db.execute("INSERT OR REPLACE INTO name VALUES (?, ?, ?)", (target, platform, i))
    db.commit()
    db.close()
    return target


def pulled(fetcher, registry, image, name, target):
    """Pulls an image and gives it a name to push it by."""
    ref = registry.put(image, name)
    fetcher.pull(ref, "--platform", "linux/amd64")
    return retag(fetcher, image, ref, target)


def holds(registry, image, name):
    for digest, data in image.blobs().items():
        r, got = registry.open("GET", "/v2/%s/blobs/%s" % (name, digest))
        if r.status != 200 or got != data:
            return False
    return registry.manifest(name, image.digest) == image.manifest


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_push(fetcher, registry, tls_registry, name, docker):
    image = oci.simple("push", layers=3, docker=docker)
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:v1" % (tls_registry.host, name))
    out = fetcher.run("push", ref).stdout.splitlines()
    assert out[0] == "The push refers to repository [%s/%s-2]" % (tls_registry.host, name)
    assert sum(x.endswith(": Pushed") for x in out) == 3
    assert out[-1] == "v1: digest: %s size: %d" % (image.digest, len(image.manifest))
    assert holds(tls_registry, image, name + "-2")
    out = fetcher.run("push", ref).stdout.splitlines()
    assert sum(x.endswith(": Layer already exists") for x in out) == 3


def test_mounted_from_another_repository(fetcher, registry, name):
    image = oci.simple("mount", layers=2)
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (registry.host, name))
    out = fetcher.run("push", ref).stdout
    assert out.count("Mounted from " + name) == 2 and "Pushed" not in out
    assert holds(registry, image, name + "-2")


def test_a_refused_mount_becomes_an_upload(fetcher, registry, proxy, name):
    image = oci.simple("nomount")
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (proxy.host, name))
    retag(fetcher, image, ref, "%s/%s:latest" % (proxy.host, name))
    proxy.rule(faultproxy.status(403, b"{}"), path="mount=")
    assert "Pushed" in fetcher.run("push", ref).stdout
    assert proxy.seen("mount=") and holds(registry, image, name + "-2")


def test_large_blobs_go_in_chunks(fetcher, registry, proxy, name):
    image = oci.Image([big_layer(70 << 20)])
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (proxy.host, name))
    fetcher.run("push", ref, limit=120)
    ranges = [x[2].get("content-range") for x in proxy.seen() if x[0] == "PATCH"]
    assert len(ranges) == 3 and ranges[0] == "0-%d" % ((32 << 20) - 1)
    assert holds(registry, image, name + "-2")


def test_a_broken_chunk_goes_on_where_the_registry_is(fetcher, registry, proxy, name):
    image = oci.Image([big_layer(70 << 20)])
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (proxy.host, name))

    kept = {}

    def swallow(x):
        """The registry takes it, the client hears a 502."""
        kept.update((k.lower(), v) for k, v in x.ask()[1])
        faultproxy.status(502, b"{}")(x)

    def tell(x):
        """Debian's registry drops a session that is asked with an older state: this one tells."""
        faultproxy.status(204, Location=kept["location"], Range=kept["range"])(x)

    proxy.rule(swallow, method="PATCH", times=1, skip=1)
    proxy.rule(tell, path="/uploads/", method="GET")
    fetcher.run("push", ref, limit=120)
    ranges = [x[2].get("content-range") for x in proxy.seen() if x[0] == "PATCH"]
    assert len(ranges) == 3, ranges  # none was sent twice
    assert holds(registry, image, name + "-2")


def test_416_asks_where_to_go_on(fetcher, registry, proxy, name):
    image = oci.Image([big_layer(70 << 20)])
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (proxy.host, name))
    proxy.rule(faultproxy.status(416, b"{}"), method="PATCH", times=1, skip=1)
    fetcher.run("push", ref, limit=120)
    assert holds(registry, image, name + "-2")


def test_a_registry_without_chunks(fetcher, registry, proxy, name):
    image = oci.Image([big_layer(66 << 20)])
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (proxy.host, name))
    proxy.rule(faultproxy.status(405, b"{}"), method="PATCH")
    fetcher.run("push", ref, limit=120)
    assert holds(registry, image, name + "-2")


def test_a_whole_upload_that_breaks_off_begins_again(fetcher, registry, proxy, name):
    image = oci.simple("again", layers=2)
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (proxy.host, name))
    proxy.rule(faultproxy.reset, path="/uploads/", method="PUT", times=2)
    fetcher.run("push", ref)
    assert holds(registry, image, name + "-2")


def test_locations_relative_and_with_a_query(fetcher, registry, proxy, name):
    image = oci.simple("location")
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (proxy.host, name))

    def relative(x):
        code, headers, data = x.ask()
        out = []
        for k, v in headers:
            if k.lower() == "location":
                v = "/" + v.split("://", 1)[1].split("/", 1)[1] + "&more=x%20y"
            out.append((k, v))
        x.send(code, out, data)

    proxy.rule(relative, path="/blobs/uploads/", method="POST")
    fetcher.run("push", ref)
    assert proxy.seen("more=x%20y") and holds(registry, image, name + "-2")


def test_min_chunk_is_honoured(fetcher, registry, proxy, name):
    image = oci.Image([big_layer(130 << 20)])
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (proxy.host, name))

    def asks(x):
        code, headers, data = x.ask()
        x.send(code, headers + [("OCI-Chunk-Min-Length", str(100 << 20))], data)

    proxy.rule(asks, path="/blobs/uploads/", method="POST")
    fetcher.run("push", ref, limit=120)
    ranges = [x[2].get("content-range") for x in proxy.seen() if x[0] == "PATCH"]
    assert ranges[0] == "0-%d" % ((100 << 20) - 1)
    assert holds(registry, image, name + "-2")


def test_an_index_goes_as_a_whole_where_all_of_it_is_here(fetcher, registry, tls_registry, name):
    amd, arm = oci.simple("amd"), oci.simple("arm", platform="linux/arm64")
    index = oci.Index([amd, arm])
    ref = registry.put(index, name)
    target = "%s/%s:latest" % (tls_registry.host, name)
    fetcher.pull(ref, "--platform", "linux/amd64")
    retag(fetcher, amd, ref, target)
    fetcher.run("push", target)
    assert tls_registry.manifest(name, "latest") == amd.manifest  # one platform: the image alone
    fetcher.pull(ref, "--platform", "linux/arm64")
    retag(fetcher, amd, ref, target)
    fetcher.run("push", target)
    assert tls_registry.manifest(name, "latest") == index.manifest
    assert holds(tls_registry, arm, name) and holds(tls_registry, amd, name)


def test_all_tags(fetcher, registry, tls_registry, name):
    for tag in ("a", "b"):
        image = oci.simple(tag)
        ref = registry.put(image, name, tag)
        fetcher.pull(ref)
        retag(fetcher, image, ref, "%s/%s:%s" % (tls_registry.host, name, tag))
    fetcher.run("push", "-a", "%s/%s" % (tls_registry.host, name))
    doc = json.loads(tls_registry.request("GET", "/v2/%s/tags/list" % name))
    assert sorted(doc["tags"]) == ["a", "b"]


def test_what_is_not_there(fetcher, registry):
    assert "No such image" in fetcher.fails("push", registry.host + "/nothing")
    assert "digest" in fetcher.fails("push", registry.host + "/x@sha256:" + "0" * 64)


def test_basic_auth(fetcher, registry, basic_registry, name):
    image = oci.simple("basic")
    ref = pulled(fetcher, registry, image, name, "%s/%s:latest" % (basic_registry.host, name))
    said = fetcher.fails("push", ref)
    assert "log in" in said
    fetcher.login(basic_registry.host)
    fetcher.run("push", ref)
    assert basic_registry.manifest(name, "latest", auth="user:secret") == image.manifest


def test_token_auth(fetcher, registry, token_registry, name):
    image = oci.simple("token", layers=3)
    ref = pulled(fetcher, registry, image, name, "%s/%s:latest" % (token_registry.host, name))
    fetcher.login(token_registry.host)
    fetcher.run("push", ref)
    fetcher.run("tags", ref.rsplit(":", 1)[0])


@pytest.mark.parametrize("client", ["skopeo", "podman"])
def test_others_take_what_was_pushed(fetcher, registry, name, client, tmp_path):
    if not shutil.which(client):
        pytest.skip("no program " + client)
    image = oci.simple("others", layers=2)
    ref = pulled(fetcher, registry, image, name, "%s/%s-2:latest" % (registry.host, name))
    fetcher.run("push", ref)
    if client == "skopeo":
        argv = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false", "docker://" + ref,
                "oci:%s:x" % (tmp_path / "layout")]
    else:
        import tempfile
        run = tempfile.mkdtemp(prefix="pr-")  # podman wants it short
        argv = ["podman", "--root", str(tmp_path / "root"), "--runroot", run, "--storage-driver=vfs", "pull", "-q",
                "--tls-verify=false", ref]
    done = subprocess.run(argv, capture_output=True, text=True)
    if client == "podman":
        shutil.rmtree(run, ignore_errors=True)
    assert done.returncode == 0, done.stderr


def test_what_skopeo_pushed(fetcher, registry, name, tmp_path):
    if not shutil.which("skopeo"):
        pytest.skip("no program skopeo")
    image = oci.simple("skopeo", layers=2)
    oci.layout(image, str(tmp_path / "layout"))
    ref = "%s/%s:latest" % (registry.host, name)
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false",
                    "oci:%s:latest" % (tmp_path / "layout"), "docker://" + ref], check=True)
    fetcher.pull(ref)
    assert fetcher.has(image)
