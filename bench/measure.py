# SPDX-License-Identifier: Apache-2.0
# Copyright the cnipp authors
"""What bench/run measures with: namespaces, calls of plugins, and counts that carry no noise."""
import ctypes
import json
import os
import re
import statistics
import subprocess
import time

SCRATCH = "/run/bench"


def tool(*argv, text=None, check=True):
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=check).stdout


def enter_namespaces(argv):
    """Starts this program again where nothing of the machine can be harmed."""
    if os.environ.get("CNIPP_BENCH_INSIDE") != "yes":
        os.environ["CNIPP_BENCH_INSIDE"] = "yes"
        os.execvp("unshare", ["unshare", "--net", "--mount", "--propagation", "private", *argv])
    tool("mount", "-t", "tmpfs", "none", "/run")
    os.makedirs("/var/lib/cni", exist_ok=True)
    tool("mount", "-t", "tmpfs", "none", "/var/lib/cni")
    tool("mount", "-t", "sysfs", "none", "/sys")
    os.makedirs(SCRATCH)
    os.makedirs("/run/netns")
    tool("ip", "link", "set", "lo", "up")
    tool("ip", "netns", "attach", "outermost", str(os.getpid()))
    for entry in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/net/{entry}", "w") as f:
            f.write("1")


def enter_host(name):
    """From here on this thread's programs start in this network namespace, as their host's own."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(netns(name)) as f:
        if libc.setns(f.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), f"setns {name}")


def make_hosts(sides):
    """A host of its own for each side: neither finds what the other left in the packet filter."""
    for side in sides:
        name = f"host-{side}"
        add_netns(name)
        tool("ip", "-n", name, "link", "set", "lo", "up")
        for entry in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            tool("ip", "netns", "exec", name, "sh", "-c", f"echo 1 > /proc/sys/net/{entry}")


def remove_hosts(sides):
    enter_host("outermost")
    delete_netns(*(f"host-{side}" for side in sides))


def netns(name):
    return f"/run/netns/{name}"


def add_netns(*names):
    for name in names:
        tool("ip", "netns", "add", name)


def delete_netns(*names):
    for name in names:
        tool("ip", "netns", "del", name)


class Failed(Exception):
    pass


class Call:
    """A program to be started: a plugin's verb, or one of bench/'s own."""

    def __init__(self, argv, env=None, stdin=b"", may_fail=False):
        self.argv, self.stdin, self.may_fail = argv, stdin, may_fail
        self.env = {"PATH": os.environ["PATH"], **(env or {})}

    def start(self):
        """The process and the file of its output. Files in memory: no pipes to be served."""
        files = [os.memfd_create(name) for name in ("in", "out", "err")]
        os.write(files[0], self.stdin)
        os.lseek(files[0], 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(files)]
        self.began = time.perf_counter()
        return os.posix_spawnp(self.argv[0], self.argv, self.env, file_actions=actions), files

    def finish(self, pid, files):
        _, status, usage = os.wait4(pid, 0)
        took = (time.perf_counter() - self.began) * 1000
        out, err = (os.pread(fd, 1 << 20, 0) for fd in files[1:])
        for fd in files:
            os.close(fd)
        if status != 0 and not self.may_fail:
            raise Failed(f"{' '.join(self.argv)} {self.env.get('CNI_COMMAND', '')}: status {status}\n"
                         f"{out.decode()}{err.decode()}")
        return Done(took, out)

    def run(self):
        return self.finish(*self.start())


class Done:
    def __init__(self, ms, out=b""):
        self.ms, self.out = ms, out


def plugin_call(directory, verb, conf, container="t", name=None, may_fail=False):
    return Call([f"{directory}/{conf['type']}"],
                {"CNI_PATH": directory, "CNI_COMMAND": verb, "CNI_CONTAINERID": container,
                 "CNI_NETNS": netns(name or container), "CNI_IFNAME": "eth0"},
                json.dumps(conf).encode(), may_fail)


def run_chain(directory, verb, chain, container="t", wrap=None):
    """A list of plugins as a runtime runs it; only the plugins' time counts."""
    total = Done(0.0)
    previous = None
    for conf in (chain if verb == "ADD" else reversed(chain)):
        if previous is not None:
            conf = {**conf, "prevResult": previous}
        call = plugin_call(directory, verb, conf, container)
        if wrap:
            call.argv = wrap + call.argv
        done = call.run()
        total.ms += done.ms
        if verb == "ADD":
            previous = json.loads(done.out)
    return total


def stats(values):
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "p10": ordered[int(len(ordered) * 0.1)],
            "p90": ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))], "n": len(ordered)}


# --- what strace sees

STRACE = ["strace", "-f", "-qq", "-v", "-A", "-o", f"{SCRATCH}/trace"]
SEND = re.compile(r"\b(?:sendmsg|sendto)\((\d+), .*?nlmsg_type=(\w+)")


def memory(programs, run):
    """Page faults and peak memory of `run(wrap)`."""
    run([f"{programs}/bench_peak", f"{SCRATCH}/peak"])
    with open(f"{SCRATCH}/peak") as f:
        kib, faults = f.read().split()
    return {"kib": int(kib), "faults": int(faults)}


def count(run):
    """Processes, system calls, netlink messages and nf_tables transactions of `run(wrap)`."""
    if os.path.exists(f"{SCRATCH}/trace"):
        os.unlink(f"{SCRATCH}/trace")
    run(STRACE)
    out = {"processes": 0, "syscalls": 0, "netlink": 0, "transactions": 0}
    filters = set()  # descriptors of nfnetlink sockets, by process
    pending = {}
    with open(f"{SCRATCH}/trace", errors="replace") as trace:
        for line in trace:
            pid, _, text = line.partition(" ")
            if "resumed>" in text:
                text = pending.pop(pid, "") + text.split("resumed>", 1)[1]
            else:
                if text.lstrip().startswith(("---", "+++")):
                    continue
                out["syscalls"] += 1
                if "<unfinished ...>" in text:
                    pending[pid] = text.replace("<unfinished ...>", "")
                    if "nlmsg_len=" not in text:
                        continue
            if "execve(" in text and text.rstrip().endswith("= 0"):
                out["processes"] += 1
            opened = re.search(r"socket\(AF_NETLINK, .*NETLINK_(\w+)\)\s+= (\d+)", text)
            if opened:
                key = (pid, opened[2])
                (filters.add if opened[1] == "NETFILTER" else filters.discard)(key)
            sent = SEND.search(text)
            if sent and pid not in pending:
                out["netlink"] += text.count("{nlmsg_len=")
                begins = sent[2] in ("NFNL_MSG_BATCH_BEGIN", "0x10")
                if begins and (pid, sent[1]) in filters:
                    out["transactions"] += 1
    return out
