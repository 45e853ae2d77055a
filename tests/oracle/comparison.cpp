// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "oracle/comparison.h"

#include <algorithm>
#include <array>
#include <regex>

#include "base/concat.h"
#include "support/catch.h"
#include "support/host.h"

namespace cni::test {
namespace {

struct Ignored {
  const char* lines;  // a regular expression
  const char* because;
  std::string_view plugin = {};  // of this one only
};

// The deliberate differences, all of them.
const std::array kDeliberate = {
    Ignored{"^[hc] (nft|iptables) ",
            "masquerading lives in our own nf_tables objects, the reference calls iptables"},
    Ignored{"^h link .* ifalias = ", "our host veth says to whom it belongs"},
    Ignored{"fe80::|\"33:33:ff:", "link-local addresses follow the MACs, which are random"},
    Ignored{"^h fdb .*mac:\"MAC\"", "the bridge has a MAC of its own, not one of its ports'"},
    Ignored{"^h link .*[.](bridge_id|root_id) = |^h link (cni0|other0) address = ",
            "that MAC again"},
    Ignored{"^h link (cni0|other0) (operstate|flags) = ",
            "they follow the last port in the kernel's own time"},
    Ignored{"^c sysctl net/ipv6/conf/eth0/keep_addr_on_down = 1",
            "of newer releases of the reference than Debian's"},
    Ignored{"^c link eth0 txqlen = ", "0 in the reference; no queue makes use of it"},
    Ignored{"^h file /var/lib/cni/networks/.cnipp", "host-local's index of leases"},
    Ignored{"^h route .*dev:\"(cni0|other0)\" dst:\"2001:db8::1?\" .*table:\"local\"",
            "the reference's gateway is still being checked for duplicates"},
    Ignored{"^h file /run/", "lock files"},
    Ignored{"^h sysctl net/ipv6/conf/(cni0|other0)/accept_dad = 0",
            "the bridge's own link-local address is usable at once", "bridge"},
    Ignored{"^[hc] link .* (tso_max_size|gso_max_size|tso_max_segs|gro_max_size) = ",
            "of a bridge they follow its ports"},
    Ignored{"^[hc] qdisc ", "order of creation"},
    Ignored{"^[hc] link (eth0|HOSTVETH) num_[rt]x_queues = ", "ours are made with one queue"},
    Ignored{"^h (link HOSTVETH inet6_addr_gen_mode|sysctl net/ipv6/conf/HOSTVETH/addr_gen_mode) = ",
            "what comes in at a bridge port is the bridge's", "bridge"},
    Ignored{"^[hc] sysctl net/ipv6/conf/(eth0|HOSTVETH)/accept_dad = 0",
            "nobody else is on the link: no two seconds of duplicate address detection", "ptp"},
    Ignored{"^[hc] link (eth0|HOSTVETH) (operstate|flags) = ",
            "they follow in the kernel's own time", "ptp"},
};

Snapshot prefixed(Snapshot snapshot, const std::string& prefix) {
  for (auto& line : snapshot.lines) line.insert(0, prefix);
  return snapshot;
}

Snapshot without_deliberate(Snapshot snapshot, std::string_view plugin) {
  for (const auto& ignored : kDeliberate) {
    if (!ignored.plugin.empty() && ignored.plugin != plugin) continue;
    const std::regex pattern(ignored.lines);
    std::erase_if(snapshot.lines,
                  [&](const std::string& line) { return std::regex_search(line, pattern); });
  }
  std::sort(snapshot.lines.begin(), snapshot.lines.end());
  return snapshot;
}

// Names and addresses that a plugin may choose: the host veth's name, and MACs.
void collect_names(const TestNamespace& net, std::map<std::string, std::string>& names) {
  const Json links = tool_json("ip -j link", &net);
  for (const auto& link : links.root().items()) {
    const std::string name = link["ifname"].string();
    if (name.starts_with("veth")) {
      names[name] = "HOSTVETH";
    }
    if (name != "lo") names[link["address"].string()] = "MAC";
  }
}

// How an address avoids its duplicate check (a flag of its own, or the interface's sysctl) or the
// kernel's route to its subnet (a flag, or a removal), and how far the kernel has followed the loss
// of the last port. Nor does the local route of an IPv6 address matter: the kernel adds it when the
// duplicate check is over.
Snapshot without_passing_flags(Snapshot snapshot) {
  std::erase_if(snapshot.lines, [](const std::string& line) {
    return line.find(" route ") != std::string::npos &&
           line.find(R"(protocol:"kernel" scope:"global" table:"local" type:"local")") !=
               std::string::npos;
  });
  for (auto& line : snapshot.lines) {
    for (const std::string_view flag : {R"("linkdown" )", "nodad:true ", "noprefixroute:true "}) {
      const auto at = line.find(flag);
      if (at != std::string::npos) line.erase(at, flag.size());
    }
  }
  return snapshot;
}

// Newer releases of the reference give leases other modes than older ones.
Snapshot without_modes(Snapshot snapshot) {
  const std::regex mode("^(h file [^ ]+) 0[0-7]+");
  for (auto& line : snapshot.lines) line = std::regex_replace(line, mode, "$1");
  return snapshot;
}

Snapshot state(const TestSandbox& sandbox) {
  Snapshot all = without_modes(prefixed(snapshot_host(), "h "));
  for (auto& line : prefixed(snapshot_network(sandbox.net()), "c ").lines) {
    all.lines.push_back(std::move(line));
  }
  return without_passing_flags(std::move(all));
}

}  // namespace

Outcome observe(const Experiment& experiment, const std::string& bin_dir) {
  const TestHost host;
  const TestSandbox sandbox("c1");
  for (const auto& line : experiment.prepare) tool(line);
  const PluginCall call{.command = "ADD",
                        .plugin = experiment.plugin,
                        .config = experiment.config,
                        .netns = sandbox.path(),
                        .args = experiment.args,
                        .bin_dir = bin_dir};
  Outcome outcome;
  const Output added = run_plugin(call);
  outcome.added = added.ok();
  outcome.error = added.text();
  std::map<std::string, std::string> names;
  collect_names(host.net(), names);
  collect_names(sandbox.net(), names);
  if (added.ok()) {
    const Json result = added.json();
    outcome.result = snapshot_of(result.root(), "result").renamed(names);
  }
  outcome.attached = without_deliberate(state(sandbox).renamed(names), experiment.plugin);
  PluginCall del = call;
  del.command = "DEL";
  outcome.deleted = run_plugin(del).ok();
  outcome.detached = without_deliberate(state(sandbox).renamed(names), experiment.plugin);
  return outcome;
}

void check_same(const Experiment& experiment) {
  require_reference(experiment.plugin);
  const Outcome theirs = observe(experiment, reference_bin_dir());
  const Outcome ours = observe(experiment, our_bin_dir());
  INFO(concat("config: ", experiment.config, "\ntheirs: ", theirs.error, "\nours: ", ours.error,
              "\n(-: only the reference, +: only ours)"));
  REQUIRE(theirs.added);
  REQUIRE(ours.added);
  CHECK(difference(theirs.result, ours.result) == "");
  CHECK(difference(theirs.attached, ours.attached) == "");
  CHECK(ours.deleted);
  CHECK(difference(theirs.detached, ours.detached) == "");
}

void check_refused_by_both(const Experiment& experiment) {
  require_reference(experiment.plugin);
  INFO(experiment.config);
  CHECK_FALSE(observe(experiment, reference_bin_dir()).added);
  CHECK_FALSE(observe(experiment, our_bin_dir()).added);
}

}  // namespace cni::test
