# SPDX-License-Identifier: Apache-2.0
"""`features` and `spec`, and annotations of the project's own."""
import json
import os

import pytest

from harness import env, peer


@pytest.fixture
def features(runtime):
    return runtime.json("features")


def test_features_versions(features):
    """features.md: the range of ociVersion."""
    assert features["ociVersionMin"].startswith("1.0.")
    major, minor = features["ociVersionMax"].split(".")[:2]
    assert int(major) == 1 and (int(minor) >= 2 or peer.NAME != "coffer-oci")


def test_features_hooks(features):
    assert set(features["hooks"]) == {"prestart", "createRuntime", "createContainer", "startContainer", "poststart",
                                      "poststop"}


def test_features_mount_options(features):
    wanted = {"ro", "rw", "bind", "rbind", "nosuid", "nodev", "noexec", "private", "rprivate", "slave", "rslave",
              "shared", "rshared", "rro", "tmpcopyup", "noatime", "relatime"}
    if peer.NAME == "coffer-oci":
        wanted |= {"idmap", "ridmap", "rnosuid", "rnodev", "rnoexec", "nosymfollow"}
    assert wanted <= set(features["mountOptions"])


def test_features_linux(features):
    linux = features["linux"]
    wanted = {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"}
    if peer.NAME == "coffer-oci":
        wanted |= {"time"}
    assert wanted <= set(linux["namespaces"])
    assert "CAP_SYS_ADMIN" in linux["capabilities"]
    assert linux["cgroup"]["v1"] and linux["cgroup"]["v2"]
    assert linux["seccomp"]["enabled"]
    assert {"SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"} <= set(linux["seccomp"]["actions"])
    assert {"SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"} <= set(linux["seccomp"]["operators"])
    assert "SCMP_ARCH_X86_64" in linux["seccomp"]["archs"]


def test_features_1_2(features):
    peer.lacks("*", "older specification")
    linux = features["linux"]
    assert linux["mountExtensions"]["idmap"]["enabled"] is True
    assert "potentiallyUnsafeConfigAnnotations" in features
    assert "enabled" in linux["apparmor"] and "enabled" in linux["selinux"] and "enabled" in linux["intelRdt"]


def test_features_names_the_isolation_levels(features):
    """The capability table of the isolation contract is printed by `features`."""
    peer.lacks("*", "has no levels")
    text = json.dumps(features)
    assert "isolation" in text
    assert all(level in text for level in env.LEVELS)


# ---- spec ----

def test_spec_writes_a_config_that_runs(ct, runtime):
    c = ct(["true"])
    runtime.call("spec", "--bundle", c.bundle).ok()
    path = os.path.join(c.bundle, "config.json")
    with open(path) as f:
        config = json.load(f)
    assert config["process"]["args"] == ["sh"] and config["process"]["terminal"] is True
    config["process"].update(terminal=False, args=["echo", "from-spec"])
    config["linux"]["cgroupsPath"] = c.linux["cgroupsPath"]
    config["process"].pop("rlimits", None)
    c.config = config
    assert c.run().ok().out == "from-spec\n"


def test_spec_in_the_current_directory(ct, runtime):
    c = ct()
    runtime.call("spec", cwd=c.bundle).ok()
    assert os.path.exists(os.path.join(c.bundle, "config.json"))


def test_spec_does_not_overwrite(ct, runtime):
    c = ct()
    c.write_config()
    r = runtime.call("spec", "--bundle", c.bundle).failed()
    assert "config.json" in r.message and "exists" in r.message


def test_spec_rootless(ct, runtime):
    c = ct()
    runtime.call("spec", "--rootless", "--bundle", c.bundle).ok()
    with open(os.path.join(c.bundle, "config.json")) as f:
        config = json.load(f)
    assert "user" in [n["type"] for n in config["linux"]["namespaces"]]
    assert config["linux"]["uidMappings"][0]["size"] == 1


# ---- annotations ----

def test_isolation_annotation(ct, level):
    """The annotation chooses the level as the flag does."""
    peer.lacks("*", "has no levels")
    c = ct(["echo", "fine"])
    c.config["annotations"] = {"dev.coffer.isolation": level}
    assert c.run().ok().out == "fine\n"


def test_isolation_annotation_that_is_not_there(ct):
    peer.lacks("*", "has no levels")
    c = ct()
    c.config["annotations"] = {"dev.coffer.isolation": "nosuch"}
    assert "nosuch" in c.run().failed().message
