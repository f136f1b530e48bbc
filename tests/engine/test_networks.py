# SPDX-License-Identifier: Apache-2.0
"""Bridges, published ports, names, isolation: with real packets, between containers and from beside them."""
import json
import os
import re
import threading

import pytest

from libengine import wait_for

HTTPD = ["sh", "-c", "echo $0 > /tmp/index.html; exec httpd -f -p [::]:80 -h /tmp"]


def serve(coffer, text, *options):
    cid = coffer.start(*options, "box", *HTTPD, text)
    wait_for("httpd", lambda: coffer("exec", cid, "wget", "-qO-", "http://127.0.0.1/", rc=None).returncode == 0)
    return cid


def ip(coffer, cid, network=None):
    if network:
        return coffer.inspect(cid, '{{(index .NetworkSettings.Networks "%s").IPAddress}}' % network)
    return coffer.inspect(cid, "{{.NetworkSettings.IPAddress}}")


def fetch(coffer, url, rc=0):  # rc: 0, or anything else for a failure
    done = coffer.here("curl", "-s", "-m", "3", url, rc=None)
    assert (done.returncode == 0) == (rc == 0), done
    return done.stdout


def test_default_bridge(coffer):
    out = coffer.sh("ip -4 -o addr show eth0; ip route; cat /etc/hosts; hostname")
    assert re.search(r"inet \d+\.\d+\.\d+\.\d+/\d+", out) and "default via" in out
    assert out.splitlines()[-1] in out.splitlines()[-2]


def test_its_device_is_there_before_its_settings(coffer):
    """What is plugged in beside the mounts has arrived when sysctls and the program come."""
    setting = "net.ipv4.conf.eth0.rp_filter"
    for _ in range(5):
        assert coffer.sh("cat /proc/sys/%s" % setting.replace(".", "/"), "--sysctl", setting + "=2") == "2\n"


def test_host_and_containers_reach_each_other(coffer):
    cid = serve(coffer, "hello")
    url = "http://%s/" % ip(coffer, cid)
    assert fetch(coffer, url) == "hello\n"
    assert coffer.sh("wget -qO- " + url) == "hello\n"


@pytest.mark.parametrize("publish,port", [("8080:80", 8080), ("127.0.0.1:8081:80", 8081), ("8082:80/tcp", 8082)])
def test_publish(coffer, publish, port):
    cid = serve(coffer, "published", "-p", publish)
    assert fetch(coffer, "http://127.0.0.1:%d/" % port) == "published\n"
    assert re.search(r"^80/tcp -> [0-9.]+:%d$" % port, coffer.out("port", cid), re.M)
    assert coffer.out("port", cid, "80/tcp").splitlines()[0].endswith(":%d" % port)
    assert ":%d->80/tcp" % port in coffer.out("ps", "--format", "{{.Ports}}")
    coffer("rm", "-f", cid)
    fetch(coffer, "http://127.0.0.1:%d/" % port, rc=1)


def test_publish_any_port_and_range(coffer):
    cid = serve(coffer, "any", "-p", "80")
    port = coffer.out("port", cid, "80").splitlines()[0].rpartition(":")[2]
    assert fetch(coffer, "http://127.0.0.1:%s/" % port) == "any\n"
    cid = coffer.start("-p", "9000-9002:7000-7002", "box", "sleep", "600")
    rows = coffer.out("port", cid)
    assert all("%d/tcp -> 0.0.0.0:%d" % (7000 + i, 9000 + i) in rows for i in range(3)), rows


def test_published_port_from_a_container(coffer):
    """By the host's address from another container, and from itself (hairpin)."""
    cid = serve(coffer, "hairpin", "-p", "8090:80")
    gateway = coffer.inspect(cid, "{{.NetworkSettings.Gateway}}")
    assert coffer.sh("wget -qO- http://%s:8090/" % gateway) == "hairpin\n"
    assert coffer.out("exec", cid, "wget", "-qO-", "http://%s:8090/" % gateway) == "hairpin"


def test_port_is_taken(coffer):
    serve(coffer, "first", "-p", "8100:80")
    done = coffer("run", "-d", *coffer.run_options(), "-p", "8100:80", "box", "sleep", "1", rc=125)
    assert "port is already allocated" in done.stderr
    assert len(coffer.out("ps", "-q").split()) == 1


def test_networks_are_isolated(coffer):
    coffer("network", "create", "red")
    coffer("network", "create", "blue")
    red = serve(coffer, "red", "--network", "red", "--name", "server-a")
    url = "http://%s/" % ip(coffer, red, "red")
    assert coffer.sh("timeout 2 wget -qO- %s || echo refused" % url, "--network", "blue") == "refused\n"
    assert coffer.sh("timeout 2 wget -qO- %s || echo refused" % url, "--network", "red") == "red\n"


def test_names(coffer):
    coffer("network", "create", "n")
    cid = serve(coffer, "named", "--network", "n", "--name", "server", "--network-alias", "other")
    for name in ("server", "other", cid[:12]):
        assert coffer.sh("wget -qO- http://%s/" % name, "--network", "n") == "named\n", name
    assert "nameserver 127.0.0.11" in coffer.sh("cat /etc/resolv.conf", "--network", "n")
    out = coffer.sh("nslookup -type=a server; nslookup %s" % ip(coffer, cid, "n"), "--network", "n")
    assert ip(coffer, cid, "n") in out and "server" in out
    # A container may serve names itself.
    assert coffer.sh("(nc -l -p 53 &) ; sleep 0.2; nslookup -type=a server | grep -c %s" % ip(coffer, cid, "n"),
                     "--network", "n").strip() != "0"


def test_connect_and_disconnect(coffer):
    coffer("network", "create", "extra")
    cid = serve(coffer, "both", "--name", "both")
    coffer("network", "connect", "--alias", "nick", "extra", cid)
    assert coffer.sh("wget -qO- http://nick/", "--network", "extra") == "both\n"
    assert "eth1" in coffer.out("exec", cid, "ls", "/sys/class/net")
    coffer("network", "disconnect", "extra", cid)
    assert "eth1" not in coffer.out("exec", cid, "ls", "/sys/class/net")
    assert fetch(coffer, "http://%s/" % ip(coffer, cid)) == "both\n"


def test_chosen_addresses(coffer):
    coffer("network", "create", "--subnet", "10.77.0.0/24", "--gateway", "10.77.0.1", "sub")
    cid = coffer.start("--network", "sub", "--ip", "10.77.0.99", "--mac-address", "02:42:0a:4d:00:63", "box", "sleep", "600")
    assert ip(coffer, cid, "sub") == "10.77.0.99"
    assert "02:42:0a:4d:00:63" in coffer.out("exec", cid, "cat", "/sys/class/net/eth0/address")
    done = coffer("run", *coffer.run_options(), "--network", "sub", "--ip", "10.77.0.99", "box", "true", rc=125)
    assert "in use" in done.stderr.lower()
    info = json.loads(coffer.out("network", "inspect", "sub"))[0]
    assert info["IPAM"]["Config"][0]["Subnet"] == "10.77.0.0/24" and cid in info["Containers"]
    assert coffer("network", "rm", "sub", rc=None).returncode != 0


def test_ipv6(coffer):
    coffer("network", "create", "--ipv6", "--subnet", "fd77::/64", "six")
    cid = serve(coffer, "six", "--network", "six", "--name", "s6")
    address = coffer.inspect(cid, '{{(index .NetworkSettings.Networks "six").GlobalIPv6Address}}')
    assert address.startswith("fd77:")
    assert coffer.sh("wget -qO- http://[%s]/" % address, "--network", "six") == "six\n"


def test_internal(coffer):
    coffer("network", "create", "--internal", "inside")
    assert "default" not in coffer.sh("ip route", "--network", "inside")


def test_network_of_a_container(coffer):
    first = serve(coffer, "shared")
    assert coffer.sh("wget -qO- http://127.0.0.1/", "--network", "container:" + first) == "shared\n"


def test_hosts_and_dns_flags(coffer):
    out = coffer.sh("cat /etc/hosts /etc/resolv.conf", "--add-host", "db:10.1.2.3", "--dns", "10.9.9.9",
                    "--dns-search", "corp.test", "--dns-option", "ndots:3")
    for want in ("10.1.2.3\tdb", "nameserver 10.9.9.9", "search corp.test", "options ndots:3"):
        assert want in out, out


def test_network_commands(coffer):
    nid = coffer.out("network", "create", "--label", "a=b", "net1")
    assert re.fullmatch("[0-9a-f]{64}", nid)
    rows = coffer.out("network", "ls").splitlines()
    assert rows[0].split() == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]
    assert {"bridge", "host", "none", "net1"} <= {r.split()[1] for r in rows[1:]}
    assert "already exists" in coffer("network", "create", "net1", rc=1).stderr
    assert "net1" == coffer.out("network", "rm", "net1")
    assert "not found" in coffer("network", "rm", "net1", rc=1).stderr.lower()
    assert coffer("network", "rm", "bridge", rc=1).stderr


def test_nothing_is_left_of_many(coffer):
    """Thirty at once; afterwards no interface, rule element or lease."""
    before = coffer.here("ip", "-br", "link").stdout.count("\n")
    threads = [threading.Thread(target=lambda: coffer.run(["-p", "80"], ["true"])) for _ in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    wait_for("interfaces to go", lambda: coffer.here("ip", "-br", "link").stdout.count("\n") <= before + 1)
    rules = coffer.here("nft", "list", "ruleset").stdout
    assert "elements" not in "".join(re.findall(r"map d4 \{[^}]*\}", rules)), rules
    assert coffer("system", "check").returncode == 0


def test_host_network_is_untouched(coffer):
    """What the container does to its addresses, the host does not see."""
    before = coffer.here("ip", "-4", "-o", "addr").stdout
    coffer.sh("ip addr add 10.1.1.1/24 dev eth0 2>&1; true", "--cap-add", "NET_ADMIN")
    assert "10.1.1.1" not in before + coffer.here("ip", "-4", "-o", "addr").stdout


def test_link(coffer):
    """--link: the other one's alias, name and id in /etc/hosts, on the default network and on one's own."""
    coffer("network", "create", "linked")
    for options in ([], ["--network", "linked"]):
        cid = serve(coffer, "linked", "--name", "db", *options)
        out = coffer.sh("wget -qO- http://store/; cat /etc/hosts", "--link", "db:store", *options)
        assert out.startswith("linked\n") and "%s\tstore %s db\n" % (ip(coffer, cid, *options[1:]), cid[:12]) in out
        other = coffer.start("--name", "web", "--link", "db", *options, "box", "sleep", "600")
        assert coffer.inspect(other, "{{.HostConfig.Links}}") == "[/db:/web/db]"
        assert coffer.out("exec", other, "wget", "-qO-", "http://db/") == "linked"
        coffer("stop", "-t", "0", other, cid)
        assert "Cannot link to a non running container: /db AS /web/db" in coffer("start", other, rc=1).stderr
        coffer("rm", other, cid)
    coffer.start("--name", "apart", "box", "sleep", "600")
    refused = [(["--link", "nosuch"], "No such container: nosuch"), (["--link", "apart:a b"], "bad format for links"),
               (["--network", "none", "--link", "apart"], "conflicting options"),
               (["--network", "linked", "--link", "apart"], "on no network of")]
    for options, why in refused:
        assert why in coffer.run(options, ["true"], rc=None).stderr, options


@pytest.mark.parametrize("call", ["sendmsg", "sendto", "pwrite64"])
def test_network_rm_killed_leaves_no_bridge_without_a_network(coffer, call):
    """Killed at the first message to the kernel or write of the database, it has happened wholly or can be done again."""
    coffer("network", "create", "-o", "com.docker.network.bridge.name=halfway0", "halfway")
    coffer.sh("true", "--network", "halfway")
    assert coffer.here("ip", "link", "show", "halfway0", rc=None).returncode == 0
    i = coffer.base.index("--") + 1
    coffer.here("strace", "-f", "-o", "/dev/null", "-e", "inject=%s:signal=SIGKILL:when=1" % call, *coffer.base[i:],
                "network", "rm", "halfway", rc=None)
    coffer("network", "rm", "halfway", rc=None)
    coffer("network", "prune", "-f")
    assert coffer.here("ip", "link", "show", "halfway0", rc=None).returncode != 0
    assert "halfway0" not in coffer.here("nft", "list", "table", "inet", "coffer").stdout


def test_what_a_container_writes_to_its_hosts_file_is_bounded(coffer):
    """Names lie in memory: who writes gigabytes there takes them from nobody, and the others have theirs."""
    fill = "for f in hosts hostname resolv.conf; do dd if=/dev/zero of=/etc/$f bs=1M count=64 2>/dev/null; done; " \
        "cat /etc/hosts /etc/hostname /etc/resolv.conf | wc -c"
    assert int(coffer.sh(fill)) < 2 << 20
    run = coffer.volatile + "/run/containers"
    cid = coffer.start("--add-host", "db:10.1.2.3", "box", "sh", "-c", fill + "; exec sleep 1000")
    wait_for("the files to be full", lambda: coffer.out("logs", cid))
    own = os.path.join(run, cid)
    assert sum(os.path.getsize(os.path.join(own, f)) for f in os.listdir(own)) < 2 << 20
    assert "10.1.2.3\tdb\n" in coffer.sh("cat /etc/hosts", "--network", "container:" + cid)
