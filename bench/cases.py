# SPDX-License-Identifier: Apache-2.0
# Copyright the cnipp authors
"""The cases of bench/run. Each gives rows: a name, a unit, and figures for "ours", "reference" and
"floor", the kernel's work alone. Sides take turns, in changing order."""
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from measure import (Call, Failed, add_netns, count, delete_netns, enter_host, make_hosts, memory,
                     netns, plugin_call, remove_hosts, run_chain, stats, tool)

SUBNETS = {"ours": "10.1", "reference": "10.2", "floor": "10.3"}
V6 = {"ours": "fd00:1", "reference": "fd00:2", "floor": "fd00:3"}

FLOOR_TABLE = """table inet floor {
  chain masq4 {
    ip daddr 10.3.0.0/16 return
    masquerade
  }
  chain masq6 {
    ip6 daddr fd00:3::/64 return
    masquerade
  }
  map masq4 { type ipv4_addr : verdict; }
  map masq6 { type ipv6_addr : verdict; }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr vmap @masq4
    ip6 saddr vmap @masq6
  }
}
"""


class Bench:
    def __init__(self, sides, programs, rounds, quick, progress):
        self.sides = sides  # name: directory of plugins
        self.programs = programs  # directory of bench_floor and others
        self.rounds, self.quick, self.progress = rounds, quick, progress

    def has(self, *plugins):
        """The sides that have them all."""
        return [s for s, d in self.sides.items()
                if all(os.access(f"{d}/{p}", os.X_OK) for p in plugins)]

    def true(self, env=None, stdin=b""):
        return Call([f"{self.programs}/bench_true"], env, stdin)

    def floor(self, verb, **arguments):
        return Call([f"{self.programs}/bench_floor", verb, *(f"{k}={v}" for k, v in arguments.items())])

    def in_turns(self, runs, rounds=None):
        """`runs`: side: a function that gives a Done for each verb. The figures of each verb."""
        rounds = rounds or self.rounds
        figures = {}
        for i in range(rounds + 2):
            order = list(runs) if i % 2 == 0 else list(runs)[::-1]
            for side in order:
                for verb, done in runs[side]().items():
                    if i >= 2:  # the first two warm up
                        figures.setdefault(verb, {}).setdefault(side, []).append(done)
            self.progress(f"{i + 1}/{rounds + 2}")
        return figures


def counts_of(bench, verbs, run):
    """What carries no noise: `run(verb, wrap)` is done twice, under strace and under bench_peak."""
    traced = {verb: count(lambda wrap, verb=verb: run(verb, wrap)) for verb in verbs}
    return {verb: {**traced[verb], **memory(bench.programs, lambda wrap, verb=verb: run(verb, wrap))}
            for verb in verbs}


def rows_of(name, figures, counts=None):
    out = []
    for verb, sides in figures.items():
        row = {"case": name, "verb": verb, "unit": "ms", "sides": {}}
        for side, done in sides.items():
            row["sides"][side] = {**stats([d.ms for d in done]),
                                  **(counts or {}).get((side, verb), {})}
        out.append(row)
    return out


def ipam(side, dual=False):
    ranges = [[{"subnet": f"{SUBNETS[side]}.0.0/16"}]]
    if dual:
        ranges.append([{"subnet": f"{V6[side]}::/64"}])
    return {"type": "host-local", "ranges": ranges}


def bridge(side, masq=False, dual=False, version="1.0.0", **more):
    return {"cniVersion": version, "name": side, "type": "bridge", "bridge": f"br-{side[:9]}",
            "isDefaultGateway": True, "ipMasq": masq, "ipam": ipam(side, dual), **more}


def simple(bench, name, plugin, verbs, conf, rounds=None):
    """One plugin without kernel objects of its own; the floor is a program that does nothing."""
    add_netns("t")
    sides = bench.has(plugin)

    def run(side):
        return {verb: plugin_call(bench.sides[side], verb, conf(side)).run() for verb in verbs}

    runs = {side: (lambda side=side: run(side)) for side in sides}
    stdin = json.dumps(conf("ours")).encode()
    runs["floor"] = lambda: {verb: bench.true({"CNI_COMMAND": verb}, stdin).run() for verb in verbs}
    figures = bench.in_turns(runs, rounds)
    counts = {}

    def counted(call, wrap):
        call.argv = wrap + call.argv
        call.run()

    for side in sides:
        made = counts_of(bench, verbs, lambda verb, wrap, side=side: counted(
            plugin_call(bench.sides[side], verb, conf(side)), wrap))
        counts.update({(side, verb): values for verb, values in made.items()})
    made = counts_of(bench, verbs, lambda verb, wrap: counted(bench.true(stdin=stdin), wrap))
    counts.update({("floor", verb): values for verb, values in made.items()})
    delete_netns("t")
    return rows_of(name, figures, counts)


def version(bench):
    return simple(bench, "start", "bridge", ["VERSION"], bridge)


def loopback(bench):
    return simple(bench, "loopback", "loopback", ["ADD", "DEL"],
                  lambda side: {"cniVersion": "1.0.0", "name": side, "type": "loopback"})


def host_local(bench):
    return simple(bench, "host-local", "host-local", ["ADD", "DEL"],
                  lambda side: {"cniVersion": "1.0.0", "name": side, "type": "host-local",
                                "ipam": ipam(side)})


def prepare_floor(masq, link):
    """The shared objects that the others' warm-up containers leave."""
    os.makedirs("/var/lib/cni/networks/floor", exist_ok=True)
    if link:
        tool("ip", "link", "add", "br-floor", "type", "bridge")
        tool("ip", "addr", "add", "10.3.0.1/16", "dev", "br-floor")
        tool("ip", "-6", "addr", "add", "fd00:3::1/64", "dev", "br-floor", "nodad")
        tool("ip", "link", "set", "br-floor", "up")
    if masq:
        tool("nft", "-f", "-", text=FLOOR_TABLE)


def attach(bench, name, conf, masq=False, dual=False):
    """ADD and DEL of one container while another one lives on the network."""
    plugin = conf("ours")["type"]
    sides = bench.has(plugin, "host-local")
    add_netns("t")
    for side in sides:
        add_netns(f"warm-{side}")
        plugin_call(bench.sides[side], "ADD", conf(side), f"warm-{side}").run()
    routed = plugin != "bridge"
    prepare_floor(masq, not routed)
    floor_args = {"host": "vethfloor", "v4": "10.3.0.2", "gw4": "10.3.0.1", "netns": netns("t"),
                  "lease": "/var/lib/cni/networks/floor"}
    if not routed:
        floor_args["bridge"] = "br-floor"
    if dual:
        floor_args.update(v6="fd00:3::2", gw6="fd00:3::1")
    if masq:
        floor_args["masq"] = "floor"

    def run(side):
        return {verb: plugin_call(bench.sides[side], verb, conf(side)).run() for verb in ("ADD", "DEL")}

    runs = {side: (lambda side=side: run(side)) for side in sides}
    if not routed:
        runs["floor"] = lambda: {"ADD": bench.floor("add", **floor_args).run(),
                                 "DEL": bench.floor("del", **floor_args).run()}
    figures = bench.in_turns(runs)
    counts = {}
    for side in sides:
        made = counts_of(bench, ("ADD", "DEL"), lambda verb, wrap, side=side: run_chain(
            bench.sides[side], verb, [conf(side)], wrap=wrap))
        counts.update({(side, verb): values for verb, values in made.items()})
    if "floor" in runs:
        def floor(verb, wrap):
            call = bench.floor(verb.lower(), **floor_args)
            call.argv = wrap + call.argv
            call.run()
        made = counts_of(bench, ("ADD", "DEL"), floor)
        counts.update({("floor", verb): values for verb, values in made.items()})
    for side in sides:
        plugin_call(bench.sides[side], "DEL", conf(side), f"warm-{side}").run()
        delete_netns(f"warm-{side}")
    tool("ip", "link", "del", "br-floor", check=False)
    tool("nft", "delete", "table", "inet", "floor", check=False)
    delete_netns("t")
    return rows_of(name, figures, counts)


def bridge_v4(bench):
    return attach(bench, "bridge", bridge)


def bridge_masq(bench):
    return attach(bench, "bridge, ipMasq", lambda side: bridge(side, masq=True), masq=True)


def bridge_dual(bench):
    return attach(bench, "bridge, dual stack", lambda side: bridge(side, dual=True), dual=True)


def ptp(bench):
    return attach(bench, "ptp, ipMasq", lambda side: {**bridge(side, masq=True), "type": "ptp"})


def podman_chain(side, port=8080, only=("bridge", "portmap", "firewall", "tuning")):
    base = {"cniVersion": "0.4.0", "name": side}
    chain = [{**bridge(side, masq=True, version="0.4.0"), "isGateway": True, "hairpinMode": True},
             {**base, "type": "portmap", "capabilities": {"portMappings": True}, "runtimeConfig":
              {"portMappings": [{"hostPort": port, "containerPort": 80, "protocol": "tcp"}]}},
             {**base, "type": "firewall", "backend": ""}, {**base, "type": "tuning"}]
    return [conf for conf in chain if conf["type"] in only]


def podman(bench):
    names = ("bridge", "portmap", "firewall", "tuning")
    sides = bench.has("host-local", *names)
    if "ours" not in sides:
        missing = [n for n in names if not os.access(f"{bench.sides['ours']}/{n}", os.X_OK)]
        return [{"case": "podman's chain", "skipped": f"no {', '.join(missing)} of ours yet"}]
    ports = {"ours": 8080, "reference": 9080}
    add_netns("t")
    make_hosts(sides)

    def run(side):
        enter_host(f"host-{side}")
        chain = podman_chain(side, ports[side])
        return {verb: run_chain(bench.sides[side], verb, chain) for verb in ("ADD", "DEL")}

    for side in sides:
        warm_chain(bench, side, ports[side] + 1, "ADD")
    figures = bench.in_turns({side: (lambda side=side: run(side)) for side in sides},
                             max(5, bench.rounds // 3))
    counts = {}
    for side in sides:
        enter_host(f"host-{side}")
        chain = podman_chain(side, ports[side])
        for verb in ("ADD", "DEL"):
            counts[side, verb] = count_chain(bench, side, verb, chain)
        for verb in ("ADD", "DEL"):
            run_chain(bench.sides[side], verb, chain)
    for side in sides:
        warm_chain(bench, side, ports[side] + 1, "DEL")
    remove_hosts(sides)
    delete_netns("t")
    return rows_of("podman's chain", figures, counts)


def count_chain(bench, side, verb, chain):
    """The sum over the plugins of a list; the peak memory is the largest."""
    parts, previous = [], None
    for conf in (chain if verb == "ADD" else chain[::-1]):
        if previous:
            conf = {**conf, "prevResult": previous}
        call = plugin_call(bench.sides[side], verb, conf)
        plain = call.argv

        def traced(wrap, call=call, plain=plain):
            call.argv = wrap + plain
            call.done = call.run()
        parts.append(count(traced))
        if verb == "ADD":
            previous = json.loads(call.done.out)
    return {key: sum(p[key] for p in parts) for key in parts[0]}


def warm_chain(bench, side, port, verb):
    enter_host(f"host-{side}")
    if verb == "ADD":
        add_netns(f"warm-{side}")
    run_chain(bench.sides[side], verb, podman_chain(side, port), f"warm-{side}")
    if verb == "DEL":
        delete_netns(f"warm-{side}")


def at_once(bench):
    """ADDs per second when so many containers start at the same time; and all were right."""
    names = ("bridge", "portmap", "firewall")
    sides = bench.has("host-local", *names)
    make_hosts(sides)
    rows = []
    for number in (1, 10) if bench.quick else (1, 10, 100):
        add_netns(*(f"p{i}" for i in range(number)))
        figures = {"ADD": {side: [] for side in sides}, "DEL": {side: [] for side in sides}}
        for repeat in range(5 if number == 1 else 3 if number == 10 else 1):
            for side in sides:
                enter_host(f"host-{side}")
                for verb in ("ADD", "DEL"):
                    took = all_at_once(bench, side, verb, number, names)
                    figures[verb][side].append(number / took)
            bench.progress(f"{number} at once, {repeat + 1}")
        delete_netns(*(f"p{i}" for i in range(number)))
        for verb, values in figures.items():
            rows.append({"case": f"{' + '.join(names)}, {number} at once", "verb": verb,
                         "unit": "per second", "more_is_better": True,
                         "sides": {side: stats(v) for side, v in values.items()}})
    remove_hosts(sides)
    return rows


def all_at_once(bench, side, verb, number, names):
    failures = []

    def one(i):
        try:
            run_chain(bench.sides[side], verb, podman_chain(side, 10000 + i, names), f"p{i}")
        except Failed as error:
            failures.append(str(error))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(number)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures and side == "ours":
        raise Failed(f"{len(failures)} of {number} {verb} at once failed:\n{failures[0]}")
    if failures:
        bench.progress(f"{len(failures)} of {number} {verb} of the {side} failed", True)
    return time.perf_counter() - start


def many(bench):
    """The first ADDs on a bridge against those beside many containers."""
    number, sample = (100, 10) if bench.quick else (1000, 30)
    add_netns(*(f"m{i}" for i in range(number)))
    row = {"case": f"bridge, with {number:,} containers", "verb": "ADD", "unit": "ms", "sides": {}}
    first = {"case": "bridge, with the first containers", "verb": "ADD", "unit": "ms", "sides": {}}
    prepare_floor(False, True)

    def call(side, verb, i):
        if side != "floor":
            return plugin_call(bench.sides[side], verb, bridge(side), f"m{i}")
        return bench.floor(verb.lower(), host=f"vethfloor{i}", bridge="br-floor", netns=netns(f"m{i}"),
                           v4=f"10.3.{i // 250 + 1}.{i % 250 + 1}", gw4="10.3.0.1",
                           lease="/var/lib/cni/networks/floor")

    for side in (*bench.has("bridge", "host-local"), "floor"):
        times = []
        for i in range(number):
            times.append(call(side, "ADD", i).run().ms)
            if i % 50 == 0:
                bench.progress(f"{side} {i}")
        first["sides"][side], row["sides"][side] = stats(times[:sample]), stats(times[-sample:])
        with ThreadPoolExecutor(16) as pool:  # not measured
            list(pool.map(lambda i, side=side: call(side, "DEL", i).run(), range(number)))
    tool("ip", "link", "del", "br-floor")
    delete_netns(*(f"m{i}" for i in range(number)))
    return [first, row]


def add_outside():
    """A neighbour of the host, 192.0.2.2 on its uplink, and a container's namespace."""
    add_netns("outside", "t")
    tool("ip", "link", "add", "uplink", "type", "veth", "peer", "name", "eth0", "netns", "outside")
    tool("ip", "addr", "add", "192.0.2.1/24", "dev", "uplink")
    tool("ip", "link", "set", "uplink", "up")
    tool("ip", "-n", "outside", "addr", "add", "192.0.2.2/24", "dev", "eth0")
    tool("ip", "-n", "outside", "link", "set", "eth0", "up")


def remove_outside():
    tool("ip", "link", "del", "uplink")
    delete_netns("outside", "t")


def remove_rules():
    tool("iptables", "-t", "nat", "-F", check=False)
    tool("iptables", "-t", "nat", "-X", check=False)
    tool("nft", "delete", "table", "inet", "cnipp", check=False)


def connection_rate(bench, client, server, address):
    seconds = "0.5" if bench.quick else "1"
    return stats([float(Call([f"{bench.programs}/bench_connect", netns(client), netns(server), address,
                              "8080", seconds]).run().out) for _ in range(3 if bench.quick else 7)])


def connections(bench):
    """New TCP connections per second of a masqueraded container, beside so many others."""
    rows = []
    add_outside()
    for number in (1, 1000) if bench.quick else (1, 1000, 20000):
        values = {}
        for side in bench.has("bridge", "host-local"):
            neighbours(side, number // 2, "before")
            plugin_call(bench.sides[side], "ADD", bridge(side, masq=True)).run()
            neighbours(side, number - number // 2 - 1, "after")
            values[side] = connection_rate(bench, "t", "outside", "192.0.2.2")
            plugin_call(bench.sides[side], "DEL", bridge(side, masq=True)).run()
            remove_rules()
            bench.progress(f"{side} {number}")
        rows.append({"case": f"new connections, {number:,} masqueraded", "verb": "", "unit": "per second",
                     "more_is_better": True, "sides": values, "number": number})
    remove_outside()
    return rows


def published(bench):
    """New TCP connections per second from outside through one published port, beside so many others."""
    rows = []
    add_outside()
    for number in (1, 1000) if bench.quick else (1, 1000, 20000):
        values = {}
        for side in bench.has("bridge", "host-local", "portmap"):
            chain = podman_chain(side, 8080, ("bridge", "portmap"))
            mapping = chain[1]["runtimeConfig"]["portMappings"][0]
            mapping["containerPort"] = 8080
            other_ports(bench, side, number // 2, "before")
            run_chain(bench.sides[side], "ADD", chain)
            other_ports(bench, side, number - number // 2 - 1, "after")
            values[side] = connection_rate(bench, "outside", "t", "192.0.2.1")
            run_chain(bench.sides[side], "DEL", chain)
            remove_rules()
            bench.progress(f"{side} {number}")
        rows.append({"case": f"new connections, {number:,} published ports", "verb": "",
                     "unit": "per second", "more_is_better": True, "sides": values})
    remove_outside()
    return rows


def other_ports(bench, side, number, when):
    """So many published ports of containers with up to fifteen each: ours by the plugin, the
    reference's as it writes them."""
    first = 10000 if when == "before" else 30000
    groups = [range(port, min(port + 15, first + number)) for port in range(first, first + number, 15)]
    if side == "ours":
        for ports in groups:
            plugin_call(bench.sides[side], "ADD", {
                "cniVersion": "1.0.0", "name": "others", "type": "portmap",
                "runtimeConfig": {"portMappings": [
                    {"hostPort": port, "containerPort": 80, "protocol": "tcp"} for port in ports]},
                "prevResult": {"cniVersion": "1.0.0", "ips": [
                    {"address": f"10.200.{ports[0] // 250}.{ports[0] % 250 + 1}/8"}]}},
                f"other-{ports[0]}", "t").run()
        return
    lines = ["*nat", *([":CNI-HOSTPORT-DNAT - [0:0]", ":CNI-HOSTPORT-SETMARK - [0:0]"]
                       if when == "before" and number > 0 else [])]
    if lines[1:]:
        lines += [f"-A {hook} -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT"
                  for hook in ("PREROUTING", "OUTPUT")]
    for ports in groups:
        chain, address = f"CNI-DN-{ports[0]:020d}", f"10.200.{ports[0] // 250}.{ports[0] % 250 + 1}"
        lines += [f":{chain} - [0:0]", "-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment others -m multiport "
                  f"--dports {','.join(map(str, ports))} -j {chain}"]
        for port in ports:
            lines += [f"-A {chain} -s {source} -p tcp --dport {port} -j CNI-HOSTPORT-SETMARK"
                      for source in ("10.0.0.0/8", "127.0.0.1")]
            lines.append(f"-A {chain} -p tcp --dport {port} -j DNAT --to-destination {address}:80")
    tool("iptables-restore", "--noflush", text="\n".join(lines + ["COMMIT", ""]))


def neighbours(side, number, when):
    """What so many other masqueraded containers leave in the kernel, without their links."""
    base = 0 if when == "before" else 30000
    addresses = [f"10.200.{(base + i) // 250}.{(base + i) % 250 + 1}" for i in range(number)]
    if side == "ours":
        # The order in a map does not matter: all of them after the first container made it.
        if when == "before":
            return
        addresses += [f"10.220.{i // 250}.{i % 250 + 1}" for i in range(number)]
        if not addresses:
            return
        users = next(c["chain"]["name"] for c in json.loads(tool("nft", "-j", "list", "chains"))["nftables"]
                     if c.get("chain", {}).get("name", "").endswith("-users"))
        sources = users.removesuffix("-users") + "-ipv4"
        entries = ", ".join(f"::ffff:{a} : goto {users}" for a in addresses)
        tool("nft", "-f", "-", text=f"add element inet cnipp masq-ledger {{ {entries} }}\n"
                                    f"add element inet cnipp {sources} {{ {', '.join(addresses)} }}\n")
        return
    lines = ["*nat"]
    for i, address in enumerate(addresses):
        chain = f"CNI-{when[0]}{i:020d}"
        lines += [f":{chain} - [0:0]", f"-A {chain} -d 10.200.0.0/16 -j ACCEPT",
                  f"-A {chain} ! -d 224.0.0.0/4 -j MASQUERADE",
                  f"-A POSTROUTING -s {address}/32 -j {chain}"]
    tool("iptables-restore", "--noflush", text="\n".join(lines + ["COMMIT", ""]))


def throughput(bench):
    """Container to container: what the bridge plugin makes against a veth pair made by hand."""
    add_netns("a", "b", "c", "d")
    for name in ("a", "b"):
        plugin_call(bench.sides["ours"], "ADD", bridge("ours"), name).run()
    tool("ip", "link", "add", "hand", "type", "bridge")
    tool("ip", "link", "set", "hand", "up")
    for i, name in enumerate(("c", "d")):
        tool("ip", "link", "add", f"hand{i}", "master", "hand", "up", "type", "veth", "peer", "name",
             "eth0", "netns", name)
        tool("ip", "-n", name, "addr", "add", f"10.9.0.{i + 2}/16", "dev", "eth0")
        tool("ip", "-n", name, "link", "set", "eth0", "up")
    pairs = {"ours": ("a", "b", "10.1.0.3"), "floor": ("c", "d", "10.9.0.3")}
    address = json.loads(tool("ip", "-n", "b", "-j", "addr", "show", "eth0"))[0]["addr_info"][0]["local"]
    pairs["ours"] = ("a", "b", address)
    speed, delay = {s: [] for s in pairs}, {s: [] for s in pairs}
    for i in range(2 if bench.quick else 6):
        for side, (source, target, to) in pairs.items():
            speed[side].append(iperf(source, target, to, "1" if bench.quick else "2"))
            ping = tool("ip", "netns", "exec", source, "ping", "-q", "-c", "300", "-i", "0.002", to)
            delay[side].append(float(ping.rsplit("=", 1)[1].split("/")[1]) * 1000)
        bench.progress(f"{i + 1}")
    for name in ("a", "b"):
        plugin_call(bench.sides["ours"], "DEL", bridge("ours"), name).run()
    tool("ip", "link", "del", "hand")
    delete_netns("a", "b", "c", "d")
    return [{"case": "TCP between containers", "verb": "", "unit": "Gbit/s", "more_is_better": True,
             "sides": {s: stats(v) for s, v in speed.items()}},
            {"case": "ping between containers", "verb": "", "unit": "us",
             "sides": {s: stats(v) for s, v in delay.items()}}]


def iperf(source, target, address, seconds):
    server, files = Call(["ip", "netns", "exec", target, "iperf3", "-s", "-1"]).start()
    try:
        for _ in range(200):
            if ":5201" in tool("ip", "netns", "exec", target, "ss", "-ltnH"):
                break
            time.sleep(0.01)
        out = tool("ip", "netns", "exec", source, "iperf3", "-c", address, "-t", seconds, "-J")
    finally:
        os.waitpid(server, 0)
        for fd in files:
            os.close(fd)
    return json.loads(out)["end"]["sum_received"]["bits_per_second"] / 1e9


def sizes(bench):
    """Binaries that both suites have, and all of ours."""
    ours, theirs = bench.sides["ours"], bench.sides.get("reference")
    common = [p for p in sorted(os.listdir(ours)) if theirs and os.path.exists(f"{theirs}/{p}")]

    def total(directory, names):
        files = {os.path.realpath(f"{directory}/{n}") for n in names}  # ours are links to one
        return {**stats([sum(os.path.getsize(f) for f in files) / (1 << 20)])}
    rows = []
    if theirs:
        rows.append({"case": f"size of {len(common)} plugins that both have", "verb": "", "unit": "MiB",
                     "sides": {"ours": total(ours, common), "reference": total(theirs, common)}})
    rows.append({"case": "size of everything in the folder", "verb": "", "unit": "MiB",
                 "sides": {s: total(d, os.listdir(d)) for s, d in bench.sides.items()}})
    return rows


CASES = {"version": version, "loopback": loopback, "host-local": host_local, "bridge": bridge_v4,
         "masquerade": bridge_masq, "dual-stack": bridge_dual, "ptp": ptp, "podman": podman,
         "at-once": at_once, "many": many, "connections": connections, "published": published,
         "throughput": throughput, "sizes": sizes}
