# SPDX-License-Identifier: Apache-2.0
"""The cheapest BPF for a seccomp profile of config.json, for the floor: a balanced tree over ranges.

A kernel emulates a new filter for each system call number of each architecture, so what counts at install
is the length of the path that a number takes: here it is the logarithm of the number of ranges.
Covers what Docker's default profile uses: allow, errno, and comparisons of one argument.
"""
import ctypes
import platform
import struct

ALLOW, ERRNO = 0x7FFF0000, 0x00050000
LD, AND, RET, JA, JEQ, JGE = 0x20, 0x54, 0x06, 0x05, 0x15, 0x35
ARCH = {"SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_X86": 0x40000003, "SCMP_ARCH_X32": 0x4000003E,
        "SCMP_ARCH_AARCH64": 0xC00000B7, "SCMP_ARCH_ARM": 0x40000028}
X32_BIT = 0x40000000


def _names(arch):
    lib = ctypes.CDLL("libseccomp.so.2")
    return lambda name: lib.seccomp_syscall_resolve_name_arch(ctypes.c_uint32(ARCH[arch]), name.encode())


def _decisions(seccomp, arch):
    """{number: leaf}; a leaf is a tuple of instructions (code, jt, jf, k)."""
    number = _names(arch)
    plain, conditional = {}, {}
    for rule in seccomp["syscalls"]:
        action = ALLOW if rule["action"] == "SCMP_ACT_ALLOW" else ERRNO | rule.get("errnoRet", 1)
        for name in rule["names"]:
            nr = number(name)
            if nr < 0:
                continue
            if rule.get("args"):
                conditional[nr] = conditional.get(nr, ()) + _compare(rule["args"][0], action)
            else:
                plain[nr] = ((RET, 0, 0, action),)
    return {**{nr: code + ((RET, 0, 0, ERRNO | 1),) for nr, code in conditional.items()}, **plain}


def _compare(arg, action):
    low = 16 + 8 * arg["index"]
    if arg["op"] == "SCMP_CMP_MASKED_EQ":
        return ((LD, 0, 0, low), (AND, 0, 0, arg["value"] & 0xFFFFFFFF), (JEQ, 0, 1, arg.get("valueTwo", 0)),
                (RET, 0, 0, action))
    return ((LD, 0, 0, low + 4), (JEQ, 0, 3, arg["value"] >> 32), (LD, 0, 0, low),
            (JEQ, 0, 1, arg["value"] & 0xFFFFFFFF), (RET, 0, 0, action))


def _ranges(decisions, base=0):
    refuse = ((RET, 0, 0, ERRNO | 1),)
    out = [(base, decisions.get(base, refuse))]
    for nr in range(base + 1, max(decisions, default=base) + 2):
        leaf = decisions.get(nr, refuse)
        if leaf != out[-1][1]:
            out.append((nr, leaf))
    return out


def _tree(ranges):
    if len(ranges) == 1:
        return list(ranges[0][1])
    middle = len(ranges) // 2
    below, above = _tree(ranges[:middle]), _tree(ranges[middle:])
    if len(below) < 256:
        return [(JGE, len(below), 0, ranges[middle][0])] + below + above
    return [(JGE, 0, 1, ranges[middle][0]), (JA, 0, 0, len(below))] + below + above


def compile_profile(seccomp):
    """The filter's bytes, as seccomp(2) takes them."""
    arches = seccomp["architectures"]
    native = "SCMP_ARCH_X86_64" if platform.machine() == "x86_64" else "SCMP_ARCH_AARCH64"
    second = "SCMP_ARCH_X86" if platform.machine() == "x86_64" else "SCMP_ARCH_ARM"
    code = [(LD, 0, 0, 4)]
    for arch in (a for a in (native, second) if a in arches):
        ranges = _ranges(_decisions(seccomp, arch))
        if arch == "SCMP_ARCH_X86_64" and "SCMP_ARCH_X32" in arches:
            x32 = {nr: leaf for nr, leaf in _decisions(seccomp, "SCMP_ARCH_X32").items() if nr >= X32_BIT}
            ranges += _ranges(x32, X32_BIT)
        body = [(LD, 0, 0, 0)] + _tree(ranges)
        code += [(JEQ, 1, 0, ARCH[arch]), (JA, 0, 0, len(body))] + body
    code.append((RET, 0, 0, ERRNO | 1))
    return b"".join(struct.pack("<HBBI", *insn) for insn in code)
