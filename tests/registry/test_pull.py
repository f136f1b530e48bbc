# SPDX-License-Identifier: Apache-2.0
"""pull: what a real registry gives, in every form, and what is not asked for twice."""
import hashlib
import json
import os
import signal
import subprocess
import time

import pytest

from harness import faultproxy, ociimage as oci


def noise(n, seed=b"x"):
    """Bytes that gzip makes no shorter."""
    out, block = [], seed
    while sum(map(len, out)) < n:
        block = hashlib.sha512(block).digest()
        out.append(block * 1)
        if len(out) >= 1024:
            out = [b"".join(out)]
    return b"".join(out)[:n]


def big_layer(n=40 << 20, seed=b"x", compression="none"):
    """Larger than what is fetched in one piece."""
    block = os.urandom(1 << 20)
    data = b"".join(bytes([i & 255]) + block[1:] for i in range(n >> 20))
    return oci.Layer(oci.tar({"data": data}), compression)


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_compressions(fetcher, registry, name, compression):
    image = oci.simple(compression, layers=3, compression=compression)
    fetcher.pull(registry.put(image, name))
    assert fetcher.has(image)
    assert not fetcher.ingesting()


def test_docker_media_types(fetcher, registry, name):
    image = oci.simple("docker", layers=2, docker=True)
    fetcher.pull(registry.put(image, name))
    assert fetcher.has(image)


def test_output_is_dockers(fetcher, registry, name):
    image = oci.simple("out", layers=2)
    ref = registry.put(image, name)
    out = fetcher.pull(ref.rsplit(":", 1)[0]).stdout.splitlines()
    assert out[0] == "Using default tag: latest"
    assert out[1] == "latest: Pulling from " + name
    for layer in image.layers:
        short = layer.digest.split(":")[1][:12]
        states = [x.split(": ", 1)[1] for x in out if x.startswith(short + ": ")]
        assert states[0] == "Pulling fs layer" and states[-1] == "Pull complete"
    assert out[-3:] == ["Digest: " + image.digest, "Status: Downloaded newer image for " + ref, ref]
    out = fetcher.pull(ref).stdout.splitlines()
    assert out[-3:] == ["Digest: " + image.digest, "Status: Image is up to date for " + ref, ref]


def test_quiet_and_json(fetcher, registry, name):
    image = oci.simple("quiet")
    ref = registry.put(image, name)
    assert fetcher.pull(ref, "-q").stdout == ref + "\n"
    image = oci.simple("loud")
    registry.put(image, name)
    lines = [json.loads(x) for x in fetcher.pull(ref, "--progress", "json").stdout.splitlines()]
    assert lines[-1]["digest"] == image.digest and lines[-1]["reference"] == ref
    assert {"status": "Pull complete", "id": image.layers[0].digest.split(":")[1][:12]} in lines


def test_terminal_redraws_in_place(fetcher, registry, name):
    image = oci.simple("tty", layers=3)
    out = fetcher.pull(registry.put(image, name), "--progress", "tty").stdout
    assert "\033[3A" in out and "\033[2K" in out


def test_platforms(fetcher, other, registry, name):
    amd, arm = oci.simple("amd64"), oci.simple("arm64", platform="linux/arm64/v8")
    noise_entry = {"mediaType": oci.MANIFEST, "digest": amd.digest, "size": len(amd.manifest),
                   "platform": {"os": "unknown", "architecture": "unknown"}}
    index = oci.Index([arm, amd], extra=[noise_entry])
    ref = registry.put(index, name)
    here = fetcher.pull(ref, "--platform", "linux/amd64").stdout
    assert "Digest: " + index.digest in here
    assert fetcher.has(amd) and not os.path.exists(fetcher.layer(arm.layers[0].diff_id))
    other.pull(ref, "--platform", "linux/arm64")
    assert other.has(arm) and not os.path.exists(other.layer(amd.layers[0].diff_id))
    said = fetcher.fails("pull", "--platform", "linux/s390x", ref)
    assert "no matching manifest for linux/s390x" in said and "linux/arm64/v8" in said


def test_docker_manifest_list(fetcher, registry, name):
    amd = oci.simple("list", docker=True)
    index = oci.Index([amd], docker=True)
    fetcher.pull(registry.put(index, name))
    assert fetcher.has(amd)


def test_by_digest(fetcher, registry, name):
    image = oci.simple("digest")
    ref = registry.put(image, name).rsplit(":", 1)[0] + "@" + image.digest
    out = fetcher.pull(ref).stdout.splitlines()
    assert "Using default tag: latest" not in out
    assert out[-1] == ref
    assert fetcher.has(image)


def test_all_tags(fetcher, registry, name):
    images = {t: oci.simple(t) for t in ("one", "two", "three")}
    for tag, image in images.items():
        registry.put(image, name, tag)
    fetcher.pull("%s/%s" % (registry.host, name), "--all-tags")
    assert all(fetcher.has(x) for x in images.values())
    assert "all-tags" in fetcher.fails("pull", "-a", "%s/%s:one" % (registry.host, name))


def test_the_same_layer_twice(fetcher, registry, name):
    layer = oci.Layer(oci.tar({"x": b"x"}))
    image = oci.Image([layer, oci.Layer(oci.tar({"y": b"y"})), layer])
    fetcher.pull(registry.put(image, name))
    assert fetcher.has(image)


def test_an_image_without_layers(fetcher, registry, name):
    image = oci.Image([])
    fetcher.pull(registry.put(image, name))
    assert fetcher.has(image)


def test_second_pull_moves_only_what_changed(fetcher, registry, proxy, name):
    base = [oci.Layer(oci.tar({"f%d" % i: noise(50000, b"%d" % i)})) for i in range(4)]
    first = oci.Image(base + [oci.Layer(oci.tar({"v": b"1"}))])
    second = oci.Image(base + [oci.Layer(oci.tar({"v": b"2"}))])
    registry.put(first, name)
    ref = "%s/%s:latest" % (proxy.host, name)
    fetcher.pull(ref)
    registry.put(second, name)
    proxy.clear()
    out = fetcher.pull(ref).stdout
    assert out.count("Already exists") == 4
    asked = {x[1].rsplit("/", 1)[1] for x in proxy.seen("/blobs/")}
    assert asked == {second.config_digest, second.layers[-1].digest}
    assert fetcher.has(second)


def test_a_layer_that_is_there_under_another_digest_is_not_fetched(fetcher, registry, proxy, name):
    data = oci.tar({"x": noise(100000)})
    registry.put(oci.Image([oci.Layer(data, "gzip")]), name, "one")
    again = oci.Image([oci.Layer(data, "gzip", level=9), oci.Layer(oci.tar({"y": b""}))])
    registry.put(again, name, "two")
    fetcher.pull("%s/%s:one" % (proxy.host, name))
    proxy.clear()
    fetcher.pull("%s/%s:two" % (proxy.host, name))
    got = [x for x in proxy.seen(again.layers[0].digest)]
    # at most begun, before the configuration was there
    assert len(got) <= 1
    assert os.path.isdir(fetcher.layer(again.layers[1].diff_id))


def test_up_to_date_costs_a_head(fetcher, registry, proxy, name):
    registry.put(oci.simple("head"), name)
    ref = "%s/%s:latest" % (proxy.host, name)
    fetcher.pull(ref)
    proxy.clear()
    fetcher.pull(ref)
    assert [x[0] for x in proxy.seen("/manifests/")] == ["HEAD"]
    assert not proxy.seen("/blobs/")


def test_a_lost_layer_is_made_from_its_blob(fetcher, registry, proxy, name):
    image = oci.simple("lost")
    registry.put(image, name)
    ref = "%s/%s" % (proxy.host, name)
    fetcher.pull(ref)
    subprocess.run(["rm", "-rf", fetcher.layer(image.layers[0].diff_id)], check=True)
    registry.put(image, name, "again")
    proxy.clear()
    fetcher.run("pull", "--platform", "linux/amd64", "%s/%s-else" % (proxy.host, name), rc=1)
    registry.put(image, name + "-else")
    fetcher.pull("%s/%s-else" % (proxy.host, name))
    assert not proxy.seen("/blobs/" + image.layers[0].digest)
    assert fetcher.has(image)


def test_large_layers_come_in_ranges(fetcher, registry, proxy, name):
    layer = big_layer()
    image = oci.Image([layer])
    registry.put(image, name)
    fetcher.pull("%s/%s" % (proxy.host, name))
    ranges = {x[2]["range"] for x in proxy.seen(layer.digest) if "range" in x[2]}
    assert len(ranges) >= 3
    assert fetcher.has(image)


def test_a_killed_pull_goes_on_where_it_was(fetcher, registry, proxy, name):
    layer = big_layer(24 << 20)
    image = oci.Image([layer])
    registry.put(image, name)
    ref = "%s/%s" % (proxy.host, name)
    proxy.rule(faultproxy.slow_body(16 << 20, 0.05, 20), path=layer.digest)
    fetcher.settings["stall_seconds"] = 60
    p = fetcher.popen("pull", ref)
    part = os.path.join(fetcher.root, "ingest", layer.digest.split(":")[1] + ".part")
    deadline = time.monotonic() + 20
    while not (os.path.exists(part) and os.path.getsize(part) >= 16 << 20):
        assert time.monotonic() < deadline and p.poll() is None, p.communicate()
        time.sleep(0.05)
    p.send_signal(signal.SIGKILL)
    p.communicate()
    proxy.clear()
    fetcher.pull(ref)
    got = [x[2].get("range", "") for x in proxy.seen(layer.digest)]
    assert got[0].startswith("bytes=16"), got  # 16 MiB in bytes begins so too
    assert int(got[0][6:].split("-")[0]) >= 15 << 20
    assert fetcher.has(image)


def test_rotten_bytes_of_an_earlier_try_are_fetched_anew(fetcher, registry, name):
    layer = oci.Layer(oci.tar({"x": noise(300000)}), "none")
    image = oci.Image([layer])
    ref = registry.put(image, name)
    for folder in ("blobs/sha256", "layers", "ingest"):
        os.makedirs(os.path.join(fetcher.root, folder), mode=0o700)
    with open(os.path.join(fetcher.root, "ingest", layer.digest.split(":")[1] + ".part"), "wb") as f:
        f.write(b"rot" * 50000)
    fetcher.pull(ref)
    assert fetcher.has(image)


def test_two_pulls_at_once_of_shared_layers(fetcher, registry, name):
    a, b = (oci.Layer(oci.tar({n: noise(2 << 20, n.encode())}), "none") for n in "ab")
    one, two = oci.Image([a, b]), oci.Image([b, a])
    refs = [registry.put(one, name + "-1"), registry.put(two, name + "-2")]
    for p in [fetcher.popen("pull", r) for r in refs * 2]:
        out, err = p.communicate(timeout=60)
        assert p.returncode == 0, err
    assert fetcher.has(one) and fetcher.has(two)


def test_interrupted(fetcher, registry, proxy, name):
    layer = oci.Layer(oci.tar({"x": noise(1 << 20)}), "none")
    registry.put(oci.Image([layer]), name)
    proxy.rule(faultproxy.slow_body(1000, 0.01, 20), path=layer.digest)
    p = fetcher.popen("pull", "%s/%s" % (proxy.host, name))
    while not proxy.seen(layer.digest):
        time.sleep(0.05)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=10)
    assert p.returncode == 130 and "interrupted" in err


def test_tls_with_a_private_ca(fetcher, tls_registry, certificates, name):
    image = oci.simple("tls")
    tls_registry.put(image, name)
    ref = "%s/%s:latest" % (tls_registry.host, name)
    fetcher.settings["hosts"] = [{"host": tls_registry.host, "ca_file": certificates.ca}]
    fetcher.pull(ref)
    assert fetcher.has(image)


def test_certs_dir_as_docker_has_it(fetcher, tls_registry, certificates, name):
    image = oci.simple("certs.d")
    tls_registry.put(image, name)
    where = os.path.join(fetcher.settings["certs_dir"], tls_registry.host)
    os.makedirs(where)
    with open(certificates.ca, "rb") as f, open(os.path.join(where, "ca.crt"), "wb") as g:
        g.write(f.read())
    fetcher.pull("%s/%s" % (tls_registry.host, name))
    assert fetcher.has(image)


def test_another_ca_is_refused(fetcher, tls_registry, certificates, name, tmp_path):
    from harness import fetch
    wrong = fetch.Certificates(str(tmp_path / "wrong"))
    tls_registry.put(oci.simple("x"), name)
    fetcher.settings["hosts"] = [{"host": tls_registry.host, "ca_file": wrong.ca}]
    said = fetcher.fails("pull", "%s/%s" % (tls_registry.host, name))
    assert "certificate" in said and "insecure" in said


def test_loopback_is_insecure_by_itself(fetcher, tls_registry, name):
    image = oci.simple("loopback")
    tls_registry.put(image, name)
    fetcher.pull("%s/%s" % (tls_registry.host, name))
    fetcher.pull("localhost:%d/%s" % (tls_registry.port, name))
    assert fetcher.has(image)


def test_mirrors_in_their_order(fetcher, registry, proxy, name):
    image = oci.simple("mirror")
    registry.put(image, "cache/" + name)
    dead = "127.0.0.1:1"
    fetcher.settings["hosts"] = [{"host": "registry.invalid", "mirrors": [dead, "http://%s/cache" % proxy.host]}]
    out = fetcher.pull("registry.invalid/" + name).stdout
    assert out.splitlines()[-1] == "registry.invalid/%s:latest" % name
    assert fetcher.has(image)


def test_a_mirror_without_the_image_is_passed_over(fetcher, registry, proxy, name):
    image = oci.simple("behind")
    registry.put(image, name)
    proxy.rule(faultproxy.status(404, b"{}"))
    fetcher.settings["hosts"] = [{"host": registry.host, "mirrors": ["http://" + proxy.host]}]
    fetcher.pull("%s/%s" % (registry.host, name))
    assert fetcher.has(image) and proxy.seen("/manifests/")


def test_a_lying_mirror_is_caught_and_passed_over(fetcher, registry, proxy, name):
    image = oci.simple("lie", layers=2)
    registry.put(image, name)
    proxy.rule(faultproxy.corrupt, path=image.layers[0].digest)
    fetcher.settings["hosts"] = [{"host": registry.host, "mirrors": ["http://" + proxy.host]}]
    fetcher.pull("%s/%s" % (registry.host, name))
    assert fetcher.has(image) and proxy.seen(image.layers[0].digest)


def test_a_proxy_by_environment(fetcher, registry, proxy, name):
    image = oci.simple("proxied")
    registry.put(image, name)
    fetcher.settings["hosts"] = [{"host": "registry.invalid:5000", "insecure": True}]
    fetcher.environ["HTTP_PROXY"] = fetcher.environ["HTTPS_PROXY"] = proxy.url
    fetcher.pull("registry.invalid:5000/" + name)
    assert fetcher.has(image)
    assert proxy.seen("http://registry.invalid:5000/v2/")
    fetcher.environ["NO_PROXY"] = "registry.invalid"
    fetcher.fails("inspect", "registry.invalid:5000/" + name)
    del fetcher.environ["NO_PROXY"]
    proxy.clear()
    fetcher.run("inspect", "%s/%s" % (registry.host, name))  # loopback goes without
    assert not proxy.seen()


def test_a_registry_that_is_not_marked_insecure_is_not_asked_in_plain(fetcher, registry, proxy, name):
    registry.put(oci.simple("plain"), name)
    fetcher.settings.update(hosts=[{"host": "registry.invalid:5000"}], retries=1)
    fetcher.environ["HTTP_PROXY"] = fetcher.environ["HTTPS_PROXY"] = proxy.url
    fetcher.fails("pull", "registry.invalid:5000/" + name)
    assert not proxy.seen("http://")


def test_another_platform_than_was_asked_for(fetcher, registry, name):
    ref = registry.put(oci.simple("arm", platform="linux/arm64"), name)
    assert "does not match the platform" in fetcher.fails("pull", "--platform", "linux/amd64", ref)
    fetcher.pull(ref, "--platform", "linux/arm64")


@pytest.mark.slow
def test_killed_at_any_moment(fetcher, registry, name):
    """kill -9 loses nothing that was there and leaves nothing that the next pull does not mend."""
    import random
    from harness import env
    layers = [oci.Layer(oci.tar({"f%d" % i: noise(3 << 20, b"%d" % i), "g": b"x" * 100000}), "gzip") for i in range(4)]
    image = oci.Image(layers)
    ref = registry.put(image, name)
    check = [env.COFFER, "--root", fetcher.root, "--state", fetcher.root + "-state", "system", "check"]
    for i in range(10 * env.STRESS):
        if i % 5 == 0:
            subprocess.run(["rm", "-rf", fetcher.root], check=True)
        p = fetcher.popen("pull", "-q", ref)
        time.sleep(random.random() * 0.3)
        p.kill()
        p.communicate()
        if i % 10 == 3:  # every second time the store is mended before
            subprocess.run(check + ["--repair"], check=True, capture_output=True)
            assert subprocess.run(check, check=True, capture_output=True, text=True).stdout == "nothing found\n"
        if i % 5 == 4:
            fetcher.pull(ref)
            assert fetcher.has(image)
            assert not [x for x in fetcher.ingesting() if x.endswith(".part")]


def test_inspect_tags_catalog(fetcher, registry, proxy, name):
    image = oci.simple("inspect")
    index = oci.Index([image])
    ref = registry.put(index, name)
    assert fetcher.run("inspect", "--raw", ref).stdout.encode() == index.manifest
    doc = json.loads(fetcher.run("inspect", "--platform", "linux/amd64", ref).stdout)
    assert doc["digest"] == index.digest and doc["manifest"] == image.digest
    assert fetcher.run("inspect", "--config", ref).stdout.encode() == image.config
    assert not os.path.exists(fetcher.root)
    assert fetcher.run("tags", ref.rsplit(":", 1)[0]).stdout == "latest\n"
    assert name in fetcher.run("catalog", registry.host).stdout.splitlines()
    assert fetcher.run("catalog", registry.host, "nothing-has-this").stdout == ""
    assert fetcher.run("catalog", registry.host, "t/*inspect*").stdout == name + "\n"


def test_catalog_follows_pages(fetcher, registry):
    for i in range(7):
        registry.put(oci.simple("p"), "paged/n%d" % i)
    from harness import fetch

    class Pages(faultproxy.FaultProxy):
        def handle(self, request):
            request.path = request.path.replace("n=1000", "n=2")
            super().handle(request)

    p = Pages(registry)
    try:
        names = fetcher.run("catalog", p.host, "paged/").stdout.split()
        assert names == ["paged/n%d" % i for i in range(7)]
        assert len(p.seen("_catalog")) > 3
    finally:
        p.close()
    assert fetch


def test_wrong_usage(fetcher):
    assert fetcher.run(rc=None).returncode == 125
    assert fetcher.run("pull", rc=None).returncode == 125
    assert fetcher.run("fly", rc=None).returncode == 125
    assert "pull" in fetcher.run("--help").stdout


@pytest.mark.parametrize("ref", ["UPPER/case", "a//b", "x:y:z", "x@sha256:123", "-x", ""])
def test_bad_references(fetcher, ref):
    fetcher.fails("pull", "--", ref)
