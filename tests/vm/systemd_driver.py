# SPDX-License-Identifier: Apache-2.0
"""pytest -p systemd_driver: the contract with --systemd-cgroup, every container in a scope of its own."""
import functools

from harness import container


def pytest_configure(config):
    runtime_init, container_init = container.Runtime.__init__, container.Container.__init__

    @functools.wraps(runtime_init)
    def with_flag(self, *args, **kw):
        runtime_init(self, *args, **kw)
        self.flags.append("--systemd-cgroup")

    @functools.wraps(container_init)
    def with_scope(self, *args, **kw):
        container_init(self, *args, **kw)
        self.linux["cgroupsPath"] = "system.slice:coffer:" + self.id

    container.Runtime.__init__ = with_flag
    container.Container.__init__ = with_scope
    container.Container.cgroup = property(lambda self: "/system.slice/coffer-%s.scope" % self.id)


# what a scope cannot be called, a path that is none, and a quota that systemd rounds up by itself
ELSEWHERE = ("test_ids_that_are_allowed[ns-A-b_c.9+]", "test_relative_cgroups_path",
             "test_impossible_limits_fail_and_leave_nothing[ns-quota]")


def pytest_collection_modifyitems(config, items):
    out = [i for i in items if i.name.startswith(ELSEWHERE)]
    items[:] = [i for i in items if i not in out]
    config.hook.pytest_deselected(items=out)
