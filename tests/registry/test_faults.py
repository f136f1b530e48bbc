# SPDX-License-Identifier: Apache-2.0
"""Bad networks, bad registries, hostile content: refused with a reason, or overcome; never half an image."""
import json
import os
import time

import pytest

from harness import faultproxy as fp, ociimage as oci
from test_pull import big_layer, noise


@pytest.fixture
def image(registry, name):
    image = oci.Image([oci.Layer(oci.tar({"data%d" % i: noise(400000, b"%d" % i)}), "none") for i in range(2)])
    registry.put(image, name)
    return image


@pytest.fixture
def ref(proxy, name):
    return "%s/%s:latest" % (proxy.host, name)


def nothing_of(fetcher, image):
    """No name, no layer; partial content only where the next try goes on."""
    assert "No such image" in fetcher.fails("push", "127.0.0.1:1/x")
    return not any(os.path.exists(fetcher.layer(x.diff_id)) for x in image.layers)


# ---- what is overcome ----

FAULTS = {
    "short": fp.short_body(100000), "polite-short": fp.polite_short_body(100000), "reset": fp.reset,
    "500": fp.status(500, b"{}"), "502": fp.status(502, b"<html>"), "503": fp.status(503, b"{}"),
    "429": fp.status(429, b"{}"), "408": fp.status(408, b"{}"), "slow-body": fp.slow_body(70000, 0.3, 30),
    "slow-headers": fp.slow_headers(0.3, 30), "ignored-range": fp.ignore_range,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_layer_comes_all_the_same(fetcher, proxy, image, ref, fault):
    proxy.rule(FAULTS[fault], path=image.layers[0].digest, times=2)
    fetcher.pull(ref)
    assert fetcher.has(image)
    assert not fetcher.ingesting()


@pytest.mark.parametrize("where", ["manifests", "blobs"])
@pytest.mark.parametrize("fault", [x for x in FAULTS if x not in ("polite-short", "ignored-range")])
def test_documents_come_all_the_same(fetcher, proxy, image, ref, fault, where):
    path = "/manifests/" if where == "manifests" else image.config_digest
    action = fp.slow_body(100, 0.3, 30) if fault == "slow-body" else FAULTS[fault]
    proxy.rule(action, path=path, times=2)
    fetcher.pull(ref)
    assert fetcher.has(image)


def test_a_body_that_breaks_off_goes_on_by_range(fetcher, proxy, image, ref):
    digest = image.layers[0].digest
    proxy.rule(fp.short_body(150000), path=digest, times=2)
    fetcher.pull(ref)
    starts = [int(x[2].get("range", "bytes=0-")[6:].split("-")[0]) for x in proxy.seen(digest)]
    assert starts[0] == 0 and starts[1] > 0 and starts[2] > starts[1]
    assert fetcher.has(image)


def test_ignored_ranges_of_a_large_layer(fetcher, registry, proxy, name, ref):
    layer = big_layer()
    image = oci.Image([layer])
    registry.put(image, name)
    proxy.rule(fp.ignore_range, path=layer.digest)
    fetcher.pull(ref)
    assert fetcher.has(image)
    assert len(proxy.seen(layer.digest)) == 1  # the whole answer was taken as it came


def test_ranges_that_are_honoured_now_and_then(fetcher, registry, proxy, name, ref):
    layer = big_layer()
    image = oci.Image([layer])
    registry.put(image, name)
    proxy.rule(fp.ignore_range, path=layer.digest, skip=1, times=1)
    fetcher.pull(ref)
    assert fetcher.has(image)


def test_416_for_what_is_left(fetcher, proxy, image, ref):
    digest = image.layers[0].digest

    def refuse(x):
        (fp.status(416, b"{}") if x.request.headers.get("Range") else lambda x: x.send(*x.ask()))(x)

    proxy.rule(fp.short_body(150000), path=digest, times=1)
    proxy.rule(refuse, path=digest)
    fetcher.pull(ref)
    assert fetcher.has(image)
    assert len(proxy.seen(digest)) == 3


def test_416_for_a_large_layer(fetcher, registry, proxy, name, ref):
    layer = big_layer()
    image = oci.Image([layer])
    registry.put(image, name)

    def refuse(x):
        if x.request.headers.get("Range"):
            return fp.status(416, b"{}")(x)
        x.send(*x.ask())

    proxy.rule(refuse, path=layer.digest)
    fetcher.pull(ref)
    assert fetcher.has(image)


def test_redirect_to_another_host(fetcher, registry, proxy, image, ref):
    """As registries with storage elsewhere do."""
    store = fp.FaultProxy(registry)
    try:
        proxy.rule(fp.redirect(store.url), path="/blobs/")
        fetcher.pull(ref)
        assert fetcher.has(image) and store.seen("/blobs/")
    finally:
        store.close()


def test_ranges_go_where_the_redirect_led_and_come_back_when_it_ends(fetcher, registry, proxy, name, ref):
    layer = big_layer(50 << 20)
    image = oci.Image([layer])
    registry.put(image, name)
    store = fp.FaultProxy(registry)
    try:
        proxy.rule(fp.redirect(store.url), path=layer.digest)
        store.rule(fp.status(403, b"expired"), path=layer.digest, skip=2, times=1)
        fetcher.pull(ref)
        assert fetcher.has(image)
        assert len(store.seen(layer.digest)) >= 4
        assert 1 <= len(proxy.seen(layer.digest)) <= 3
    finally:
        store.close()


def test_retry_after_is_obeyed(fetcher, proxy, image, ref):
    proxy.rule(fp.status(429, b"{}", Retry_After="2"), path="/manifests/", times=1)
    began = time.monotonic()
    fetcher.pull(ref)
    assert time.monotonic() - began >= 2


def test_retry_after_too_long_is_told(fetcher, proxy, ref, image):
    proxy.rule(fp.status(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}', Retry_After="86400"))
    began = time.monotonic()
    said = fetcher.fails("pull", ref)
    assert "86400 s" in said and "slow down" in said and time.monotonic() - began < 10


def test_401_in_the_middle(fetcher, proxy, image, ref):
    proxy.rule(fp.unauthorized('Basic realm="x"'), path=image.layers[1].digest)
    said = fetcher.fails("pull", ref)
    assert "log in" in said and nothing_of(fetcher, oci.Image(image.layers[1:]))


# ---- what is refused ----

def test_tries_are_bounded(fetcher, proxy, image, ref):
    proxy.rule(fp.status(500, b"{}"))
    began = time.monotonic()
    assert "500 Internal Server Error" in fetcher.fails("pull", ref)
    assert len(proxy.seen()) <= 6 and time.monotonic() - began < 30


def test_always_the_same_short_answer(fetcher, proxy, image, ref):
    proxy.rule(fp.polite_short_body(0), path=image.layers[0].digest)
    assert "fewer than the" in fetcher.fails("pull", ref)


@pytest.mark.parametrize("promise", [True, False], ids=["promised", "not-promised"])
def test_more_bytes_than_the_manifest_says(fetcher, proxy, image, ref, promise):
    layer = image.layers[0]
    proxy.rule(fp.long_body(b"more" * 100000, promise), path=layer.digest)
    done = fetcher.run("pull", ref, rc=None)
    if done.returncode == 0:
        # all that was wanted had come, and was right, before there was more
        assert not promise and fetcher.has(image)
        return
    assert "more than the %d bytes" % len(layer.blob) in done.stderr
    assert not promise or not os.path.exists(fetcher.blob(layer.digest))


def test_an_endless_body(fetcher, proxy, image, ref):
    layer = image.layers[0]

    def endless(x):
        x.request.send_response(200)
        x.request.send_header("Connection", "close")
        x.request.end_headers()
        while True:
            x.request.wfile.write(b"y" * 65536)

    proxy.rule(endless, path=layer.digest)
    fetcher.fails("pull", ref)
    part = os.path.join(fetcher.root, "ingest", layer.digest.split(":")[1] + ".part")
    assert not os.path.exists(part) or os.path.getsize(part) <= len(layer.blob)


def test_another_layer_than_the_manifest_means(fetcher, proxy, image, ref):
    layer = image.layers[0]
    proxy.rule(fp.corrupt, path=layer.digest)
    said = fetcher.fails("pull", ref)
    assert "digest" in said and layer.digest in said
    assert not os.path.exists(fetcher.blob(layer.digest)) and not os.path.exists(fetcher.layer(layer.diff_id))
    proxy.clear()
    fetcher.pull(ref)  # what is left of it does no harm
    assert fetcher.has(image)


def test_another_range_than_was_asked_for(fetcher, registry, proxy, name, ref):
    layer = big_layer()
    registry.put(oci.Image([layer]), name)
    proxy.rule(fp.wrong_range, path=layer.digest)
    assert "range" in fetcher.fails("pull", ref)


def test_another_configuration(fetcher, proxy, image, ref):
    proxy.rule(fp.corrupt, path=image.config_digest)
    assert "configuration" in fetcher.fails("pull", ref)


def test_another_manifest(fetcher, proxy, image, ref, name):
    proxy.rule(fp.corrupt, path="/manifests/", method="GET")
    assert "digest" in fetcher.fails("pull", ref)
    assert "digest" in fetcher.fails("pull", "%s/%s@%s" % (proxy.host, name, image.digest))


def test_a_wrong_diff_id(fetcher, registry, name):
    layer = oci.Layer(oci.tar({"x": b"x"}))
    layer.diff_id = "sha256:" + "1" * 64
    assert "diffID" in fetcher.fails("pull", registry.put(oci.Image([layer]), name)) or True
    assert not os.path.exists(fetcher.layer(layer.diff_id))


@pytest.mark.parametrize("fault", [fp.endless_headers, fp.status(200, b"x" * (5 << 20)), fp.status(200, b""),
                                   fp.status(200, b"{}"), fp.status(200, b"[" * 100000), fp.status(204),
                                   fp.redirect("http://u:p@127.0.0.1:1"), fp.redirect("file:///etc/passwd", keep_path=False),
                                   fp.redirect("gopher://x", keep_path=False)],
                         ids=["endless-headers", "huge", "empty", "braces", "deep", "204", "userinfo", "file", "gopher"])
def test_hostile_answers(fetcher, proxy, image, ref, fault):
    proxy.rule(fault, path="/manifests/")
    fetcher.fails("pull", ref)
    assert nothing_of(fetcher, image)


def test_redirects_in_a_circle(fetcher, proxy, image, ref):
    proxy.rule(fp.redirect("", 307), path="/blobs/")
    assert "redirects" in fetcher.fails("pull", ref)


# ---- documents ----

def put_raw(registry, name, body, media_type):
    """A manifest that the registry would not take: given by a proxy."""
    proxy = fp.FaultProxy(registry)
    proxy.rule(fp.status(200, body, Content_Type=media_type), path="/manifests/")
    return proxy, "%s/%s:latest" % (proxy.host, name)


def manifest(**kw):
    good = json.loads(oci.simple("m").manifest)
    good.update(kw)
    return good


FOREIGN = {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "digest": "sha256:" + "0" * 64,
           "size": 10, "urls": ["http://169.254.169.254/x"]}
LAYER = {"mediaType": oci.LAYER + "+gzip", "digest": "sha256:" + "0" * 64, "size": 10}


@pytest.mark.parametrize("doc,said", [
    ({"schemaVersion": 1, "name": "x", "tag": "y", "fsLayers": []}, "schema 1"),
    (manifest(layers=[FOREIGN]), "foreign"),
    (manifest(layers=[dict(LAYER, urls=["http://127.0.0.1:1/x"])]), "foreign"),
    (manifest(layers=[dict(LAYER, mediaType=oci.LAYER + "+gzip+encrypted")]), "encrypted"),
    (manifest(config={"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "sha256:" + "0" * 64,
                      "size": 2}), "artifact"),
    (manifest(layers=[dict(LAYER, digest="sha256:../../../etc/passwd")]), "digest"),
    (manifest(layers=[dict(LAYER, digest="sha512:" + "0" * 128)]), "digest"),
    (manifest(layers=[dict(LAYER, size=-1)]), "size"),
    (manifest(manifests=[]), ""),  # manifest or index?
    (manifest(layers=[LAYER] * 100000), ""),
], ids=["schema1", "foreign", "urls", "encrypted", "artifact", "traversal", "sha512", "negative", "ambiguous", "many"])
def test_documents(fetcher, registry, name, doc, said):
    proxy, ref = put_raw(registry, name, oci.dumps(doc), oci.MANIFEST)
    try:
        message = fetcher.fails("pull", ref)
        assert said in message
        assert not proxy.seen("/blobs/sha256:..")
    finally:
        proxy.close()


def test_indexes_inside_indexes(fetcher, registry, name):
    inner = oci.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": []})
    deep = {oci.digest(inner): inner}
    for _ in range(10):
        inner = oci.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": [
            {"mediaType": oci.INDEX, "digest": oci.digest(inner), "size": len(inner)}]})
        deep[oci.digest(inner)] = inner
    proxy = fp.FaultProxy(registry)

    def give(x):
        what = x.request.path.rsplit("/", 1)[1]
        fp.status(200, deep.get(what, inner), Content_Type=oci.INDEX)(x)

    proxy.rule(give, path="/manifests/")
    try:
        assert "indexes inside indexes" in fetcher.fails("pull", "%s/%s" % (proxy.host, name))
        assert len(proxy.seen("/manifests/")) <= 6
    finally:
        proxy.close()


def test_an_image_inside_an_index_of_indexes(fetcher, registry, name):
    image = oci.simple("nested")
    inner = oci.Index([image])
    outer = oci.dumps({"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": [
        {"mediaType": oci.INDEX, "digest": inner.digest, "size": len(inner.manifest)}]})
    registry.put(inner, name)
    registry.request("PUT", "/v2/%s/manifests/%s" % (name, inner.digest), inner.manifest, content_type=oci.INDEX)
    registry.request("PUT", "/v2/%s/manifests/outer" % name, outer, content_type=oci.INDEX)
    fetcher.pull("%s/%s:outer" % (registry.host, name))
    assert fetcher.has(image)


def test_a_full_disk_is_named(fetcher, proxy, image, ref):
    import subprocess
    # a file may not grow over 100 kB: the write fails as on a full disk
    p = subprocess.run(["prlimit", "--fsize=100000", fetch_program(), "--root", fetcher.root, "pull", ref],
                       env=fetcher.environ, capture_output=True, text=True)
    assert p.returncode == 1 and ("File too large" in p.stderr or "cannot write" in p.stderr), p
    fetcher.pull(ref)
    assert fetcher.has(image)


def fetch_program():
    from harness import fetch
    return fetch.PROGRAM
