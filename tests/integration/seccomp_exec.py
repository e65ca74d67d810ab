"""Runs a program under a system call filter: python3 seccomp_exec.py PROFILE PROGRAM [ARGUMENT...]

PROFILE is in the format of the OCI's runtimes (deploy/seccomp/iubench.json). It is read as they read
it, as far as ours go, and applied by libseccomp; what is not understood is an error, not skipped.
With SECCOMP_EXEC_KILL in the environment a call that is not allowed ends the program at once."""

import errno
import json
import os
import sys

import seccomp

COMPARISONS = {"SCMP_CMP_EQ": seccomp.EQ, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ}


def argument(rule):
    if rule["op"] == "SCMP_CMP_MASKED_EQ":
        return seccomp.Arg(rule["index"], seccomp.MASKED_EQ, rule["value"], rule["valueTwo"])
    return seccomp.Arg(rule["index"], COMPARISONS[rule["op"]], rule["value"])


def load(profile):
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    refusal = seccomp.ERRNO(profile["defaultErrnoRet"])
    is_strict = "SECCOMP_EXEC_KILL" in os.environ
    rules = seccomp.SyscallFilter(seccomp.KILL_PROCESS if is_strict else refusal)
    if is_strict:
        rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for block in profile["syscalls"]:
        action = seccomp.ALLOW
        if block["action"] != "SCMP_ACT_ALLOW":
            assert block["action"] == "SCMP_ACT_ERRNO"
            action = seccomp.ERRNO(block["errnoRet"])
        arguments = [argument(rule) for rule in block.get("args", [])]
        for name in block["names"]:
            try:
                number = seccomp.resolve_syscall(seccomp.Arch(), name)
            except ValueError:
                continue  # newer than the library
            if number >= 0:  # else: not of this architecture
                rules.add_rule(action, name, *arguments)
    rules.load()


if __name__ == "__main__":
    with open(sys.argv[1]) as f:
        load(json.load(f))
    os.execv(sys.argv[2], sys.argv[2:])
