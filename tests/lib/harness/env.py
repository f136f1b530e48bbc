# SPDX-License-Identifier: Apache-2.0
"""What is under test, and where. All switches are environment variables:

COFFER_OCI      the runtime binary (default: build/coffer-oci of this tree)
COFFER          the engine's command line (default: beside the runtime)
COFFER_LEVELS   isolation levels to run the contract at (default: "ns")
COFFER_VIEW     "host" (default) or "v2": run everything in a private mount
                namespace whose /sys/fs/cgroup is a cgroup2 mount
COFFER_ANY_SKIP 1: do not turn an unexpected skip into a failure
COFFER_SANITIZED 1 (make asan): the binary has sanitizers in it
COFFER_STRESS   N (default 1; make stress: 20): bounded tests try N times as often, sweeps go to their end
"""
import os
import shutil

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TESTS = os.path.join(REPO, "tests")
OCI = os.path.abspath(os.environ.get("COFFER_OCI") or os.path.join(REPO, "build", "coffer-oci"))
COFFER = os.path.abspath(os.environ.get("COFFER") or os.path.join(os.path.dirname(OCI), "coffer"))
IS_COFFER = os.path.basename(OCI).startswith("coffer")
IS_RUNC = os.path.basename(OCI) == "runc"
LEVELS = [x for x in os.environ.get("COFFER_LEVELS", "ns").replace(",", " ").split() if x]
VIEW = os.environ.get("COFFER_VIEW", "host")
ANY_SKIP = os.environ.get("COFFER_ANY_SKIP") == "1"
STRESS = int(os.environ.get("COFFER_STRESS") or 1)
SANITIZED = os.environ.get("COFFER_SANITIZED") == "1"
BUSYBOX = next((p for p in ("/usr/bin/busybox", "/bin/busybox") if os.path.exists(p)), "/usr/bin/busybox")

# A slow machine (TCG, sanitizers) stretches every time limit of the suites.
PATIENCE = float(os.environ.get("COFFER_PATIENCE", "1"))


def seconds(limit):
    """A time limit, stretched for slow machines."""
    return limit * PATIENCE


def copy_runtime(binary, to):
    """A copy of the runtime in a directory, with the helper programs beside it that levels need; its path."""
    for helper in ("sentry", "vm", "agent"):
        path = os.path.join(os.path.dirname(binary), "coffer-" + helper)
        if os.path.exists(path):
            shutil.copy(path, to)
    return shutil.copy(binary, to)
