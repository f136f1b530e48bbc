# SPDX-License-Identifier: Apache-2.0
import pytest

from harness.container import Runtime


@pytest.fixture
def sandbox():
    """The runtime at level `kernel`; what was left of a test's containers is removed."""
    rt = Runtime("kernel")
    yield rt
    rt.close()
