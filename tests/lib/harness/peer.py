# SPDX-License-Identifier: Apache-2.0
"""The suites can also run against runc or crun, to check the tests themselves.

What a peer is known to lack, or does otherwise than the specification, is skipped there; these
skips never happen with the project's own runtime.
"""
import os

import pytest

from . import env

NAME = "coffer-oci" if env.IS_COFFER else os.path.basename(env.OCI)


def lacks(name, what):
    """Skip where the runtime under test is the peer `name` ("runc", "crun", or "*" for both)."""
    if not env.IS_COFFER and name in (NAME, "*"):
        pytest.skip("%s: %s" % (NAME, what))
