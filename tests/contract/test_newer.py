# SPDX-License-Identifier: Apache-2.0
"""What specification 1.2 and 1.3 added: network devices, memory policy, schemata; and `unified`."""
import os
import subprocess

import pytest

from harness import bundle, cgroups, host, leaks, peer

NAME = "cofftest0"


@pytest.fixture(autouse=True)
def newer():
    peer.lacks("*", "older specification")


# ---- linux.memoryPolicy (1.3) ----

MODES = [("MPOL_DEFAULT", "", "mode 0"), ("MPOL_LOCAL", "", "mode 4"), ("MPOL_BIND", "0", "mode 2 nodes 0x1"),
         ("MPOL_PREFERRED", "0", "mode 1 nodes 0x1"), ("MPOL_INTERLEAVE", "0", "mode 3 nodes 0x1")]


@pytest.mark.levels("ns")
@pytest.mark.parametrize("mode,nodes,shown", MODES, ids=[m[0] for m in MODES])
def test_memory_policy(ct, mode, nodes, shown):
    c = ct(["guest", "mempolicy"])
    c.linux["memoryPolicy"] = {"mode": mode, "nodes": nodes, "flags": []}
    r = c.run()
    if "Function not implemented" in r.message or "function not implemented" in r.message:
        pytest.skip("this kernel has no NUMA")
    if r.out.startswith("errno 38"):
        pytest.skip("this kernel has no NUMA")
    assert r.ok().out.startswith(shown)


@pytest.mark.parametrize("policy", [{"mode": "MPOL_WHAT", "nodes": "0"}, {"mode": "MPOL_BIND", "nodes": ""},
                                    {"mode": "MPOL_BIND", "nodes": "x"}, {"mode": "MPOL_LOCAL", "nodes": "0"},
                                    {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_WHAT"]}],
                         ids=["mode", "no-nodes", "nodes", "local", "flag"])
def test_memory_policy_refusals(ct, policy):
    c = ct()
    c.linux["memoryPolicy"] = policy
    c.run().failed()


# ---- linux.netDevices (1.3) ----

class Network:
    """A network namespace of the test's own with one device: the "host" that the runtime is started in."""

    def __init__(self):
        self.keeper = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep 1000"],
                                       stdout=subprocess.PIPE)
        self.keeper.stdout.readline()
        self.fd = os.open("/proc/%d/ns/net" % self.keeper.pid, os.O_RDONLY)

    def ip(self, *args):
        return subprocess.run(["nsenter", "--net=/proc/%d/ns/net" % self.keeper.pid, "ip", *args],
                              capture_output=True).returncode == 0

    def enter(self):
        host.setns(self.fd, host.CLONE_NEWNET)

    def close(self):
        os.close(self.fd)
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdout.close()


@pytest.fixture
def network():
    net = Network()
    kinds = (["veth", "peer", "name", NAME + "p"], ["dummy"])  # a bridge may not change its namespace
    made = any(net.ip("link", "add", NAME, "type", *kind) for kind in kinds)
    if not made and not net.ip("tuntap", "add", "dev", NAME, "mode", "tap"):
        net.close()
        pytest.skip("no network device can be made on this machine")
    yield net
    net.close()


LINKS = "ip -o link | cut -d: -f2 | cut -d@ -f1"


@pytest.mark.levels("ns", "kernel")  # a machine's cards are its own: said in one line
def test_net_device_moves_in(ct, network):
    c = ct(LINKS)
    c.linux["netDevices"] = {NAME: {}}
    assert NAME in c.run(preexec_fn=network.enter).ok().out.split()


@pytest.mark.levels("ns", "kernel")  # a machine's cards are its own: said in one line
def test_net_device_with_a_new_name(ct, network):
    c = ct(LINKS)
    c.linux["netDevices"] = {NAME: {"name": "inside0"}}
    names = c.run(preexec_fn=network.enter).ok().out.split()
    assert "inside0" in names and NAME not in names


@pytest.mark.levels("ns", "kernel")  # a machine's cards are its own: said in one line
def test_net_device_that_is_not_there(ct, runtime, network):
    c = ct()
    c.linux["netDevices"] = {"nosuchdev0": {}}
    assert "nosuchdev0" in c.run(preexec_fn=network.enter).failed().message
    leaks.assert_none(runtime)


@pytest.mark.parametrize("name,inside", [("a/b", ""), ("..", ""), ("x" * 20, ""), (NAME, "a/b"), (NAME, "x" * 20)])
def test_net_device_bad_names(ct, name, inside):
    c = ct()
    c.linux["netDevices"] = {name: {"name": inside} if inside else {}}
    c.run().failed("invalid network device name")


def test_net_device_needs_a_network_namespace(ct):
    c = ct()
    c.linux["netDevices"] = {NAME: {}}
    bundle.without_namespace(c.config, "network")
    c.run().failed("unable to move network devices without a NET namespace")


# ---- others ----

def test_intel_rdt_where_there_is_none_is_refused(ct):
    if os.path.exists("/sys/fs/resctrl/schemata"):
        pytest.skip("this machine has resctrl")
    c = ct()
    c.linux["intelRdt"] = {"l3CacheSchema": "L3:0=f"}
    assert "intelRdt" in c.run().failed().message


def test_unified_needs_cgroup_two(ct, runtime):
    """linux.resources.unified is for version 2; a key that does not exist there is an error."""
    c = ct(["sleep", "1000"])
    c.resources["unified"] = {"no.such.file": "1"}
    r = c.run().failed()
    assert "no.such.file" in r.message or "unified" in r.message
    leaks.assert_none(runtime)


def test_unified_sets_files(v2_runtime):
    view = v2_runtime.view
    c = v2_runtime.container(["sleep", "1000"])
    if not view.has("hugetlb"):
        pytest.skip("no hugetlb controller in the v2 view")
    c.resources["unified"] = {"hugetlb.2MB.max": "4194304"}
    c.up()
    assert cgroups.read(os.path.join(view.path("hugetlb", c.cgroup), "hugetlb.2MB.max")) == "4194304"


@pytest.mark.parametrize("key", ["../cgroup.procs", "a/b", "", "."])
def test_unified_key_with_a_slash_is_refused(v2_runtime, key):
    c = v2_runtime.container()
    c.resources["unified"] = {key: "1"}
    c.run().failed()
