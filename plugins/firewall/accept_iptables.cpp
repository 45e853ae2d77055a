// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "accept_iptables.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "base/log.h"
#include "base/rollback.h"
#include "forward_filter.h"
#include "host/xtables.h"
#include "netlink/link.h"

namespace cni::firewall::iptables {
namespace {

using xtables::Ruleset;

constexpr std::string_view kTable = "filter", kOurs = "CNI-FORWARD";
constexpr std::string_view kStage1 = "CNI-ISOLATION-STAGE-1", kStage2 = "CNI-ISOLATION-STAGE-2";
constexpr std::string_view kBothPolicies = "same-bridge|isolated";
constexpr std::size_t kMaxComment = 255;

std::string commented(std::string_view text) {
  return concat(" -m comment --comment \"", text, "\"");
}

std::string forward_jump() {
  return concat("-A FORWARD", commented("CNI firewall plugin rules"), " -j ", kOurs);
}

std::string admin_jump(std::string_view admin_chain) {
  return concat("-A ", kOurs, commented("CNI firewall plugin admin overrides"), " -j ",
                admin_chain);
}

std::string policy_comment(std::string_view policy) {
  return commented(concat("CNI firewall plugin rules (ingressPolicy: ", policy, ")"));
}

std::string stage_jump() {
  return concat("-A FORWARD", policy_comment(kBothPolicies), " -j ", kStage1);
}

std::string last_of_stage(std::string_view stage) {
  return concat("-A ", stage, policy_comment(kBothPolicies), " -j RETURN");
}

/// The rules of a bridge with a policy, which go in front of the stages' last ones.
std::vector<std::string> policy_rules(const Rules& rules) {
  const std::string& link = rules.link;
  const std::string own = policy_comment(rules.policy);
  std::vector<std::string> out{
      concat("-A ", kStage1, " -i ", link, " ! -o ", link, own, " -j ", kStage2)};
  if (rules.policy == "isolated") {
    out.push_back(concat("-A ", kStage1, " -i ", link, " -o ", link, own, " -j DROP"));
  }
  out.push_back(concat("-A ", kStage2, " -o ", link, policy_comment(kBothPolicies), " -j DROP"));
  return out;
}

std::string to_address(const IpAddress& address) {
  return concat("-A ", kOurs, " -d ", IpNet::host(address).text(), " -m conntrack --ctstate ");
}

/// The reference's two rules.
std::vector<std::string> reference_rules(const IpAddress& address) {
  return {concat(to_address(address), "RELATED,ESTABLISHED -j ACCEPT"),
          concat("-A ", kOurs, " -s ", IpNet::host(address).text(), " -j ACCEPT")};
}

std::string owned_begin(const IpAddress& address) {
  return concat(to_address(address), "DNAT -m comment --comment ");
}

std::string owned_rule(const Owner& owner, const IpAddress& address) {
  return concat(owned_begin(address), '"', owner.label({}, kMaxComment), "\" -j ACCEPT");
}

/// Whose the rule says it is: the tag; "" for other rules.
std::string_view tag_of(std::string_view rule) {
  constexpr std::string_view kBegin = "--ctstate DNAT -m comment --comment \"";
  const auto at = rule.find(kBegin);
  if (!rule.starts_with(concat("-A ", kOurs, " -d ")) || at == rule.npos) return {};
  const std::string_view tag = Owner::tag_of(rule.substr(at + kBegin.size()));
  return Owner::is_tag(tag) ? tag : std::string_view{};
}

/// The address of a rule that has a tag.
std::optional<IpAddress> address_of(std::string_view rule) {
  const std::size_t begin = concat("-A ", kOurs, " -d ").size();
  return IpAddress::try_parse(rule.substr(begin, rule.find('/') - begin));
}

std::vector<IpAddress> of_family(const std::vector<IpAddress>& addresses, Family family) {
  std::vector<IpAddress> out;
  std::ranges::copy_if(addresses, std::back_inserter(out),
                       [&](const IpAddress& address) { return address.family() == family; });
  return out;
}

// Held between reading and writing: two that both miss a rule would make it twice. What removes
// rules goes on without it where it cannot be had.
constexpr std::string_view kLock = "iptables";

std::string line(std::string_view rule) { return concat(rule, "\n"); }

/// Position of a rule, or npos.
std::size_t position(const Ruleset& saved, std::string_view rule) {
  const auto at = std::ranges::find(saved.rules, rule);
  return at == saved.rules.end() ? std::string::npos
                                 : static_cast<std::size_t>(at - saved.rules.begin());
}

/// The jumps from FORWARD: isolation above acceptance, whoever comes first.
std::string ensure_jumps(const Ruleset& saved, bool with_policy) {
  const std::size_t stage = position(saved, stage_jump()), ours = position(saved, forward_jump());
  const bool stage_wanted = with_policy || stage != std::string::npos;
  const bool complete = ours != std::string::npos && (!stage_wanted || stage < ours);
  if (complete) return {};
  std::string out;
  if (ours == std::string::npos) out += xtables::as_command("-I", forward_jump());
  if (stage_wanted && stage != std::string::npos) {
    out += xtables::as_command("-D", stage_jump());
  }
  if (stage_wanted) out += xtables::as_command("-I", stage_jump());
  return out;
}

std::string ensure_policy(const Ruleset& saved, const Rules& rules) {
  std::string out;
  for (const std::string_view stage : {kStage1, kStage2}) {
    if (!saved.has_rule(last_of_stage(stage))) out += line(last_of_stage(stage));
  }
  for (const std::string& rule : policy_rules(rules)) {
    if (!saved.has_rule(rule)) out += xtables::as_command("-I", rule);
  }
  return out;
}

std::string ensure_address(const Ruleset& saved, const Owner& owner, const IpAddress& address) {
  std::string out;
  for (const std::string& rule : reference_rules(address)) {
    if (!saved.has_rule(rule)) out += line(rule);
  }
  const std::string owned = owned_rule(owner, address);
  for (const std::string& rule : saved.rules) {
    if (!rule.starts_with(owned_begin(address)) || rule == owned || tag_of(rule).empty()) continue;
    log::warn(concat("the rule ", quote(rule), " belonged to another attachment: replaced"));
    out += xtables::as_command("-D", rule);
  }
  if (!saved.has_rule(owned)) out += line(owned);
  return out;
}

std::string additions(const Ruleset& saved, const Owner& owner, const Rules& rules,
                      const std::vector<IpAddress>& addresses) {
  std::vector<std::string_view> chains{kOurs, rules.admin_chain};
  if (!rules.policy.empty()) chains.insert(chains.end(), {kStage1, kStage2});
  std::string out;
  for (const std::string_view chain : chains) {
    if (!saved.has_chain(chain)) out += xtables::declare_chain(chain);
  }
  if (!saved.has_rule(admin_jump(rules.admin_chain))) {
    out += xtables::as_command("-I", admin_jump(rules.admin_chain));
  }
  for (const IpAddress& address : addresses) out += ensure_address(saved, owner, address);
  if (!rules.policy.empty()) out += ensure_policy(saved, rules);
  return out + ensure_jumps(saved, !rules.policy.empty());
}

/// Commands that remove the rules whose tag is chosen, and the reference's rules of their addresses
/// and of `addresses`, unless another owner has the address.
std::string removals(const Ruleset& saved, const std::vector<IpAddress>& addresses,
                     const std::function<bool(std::string_view tag)>& chosen) {
  std::string out;
  std::vector<IpAddress> freed = addresses;
  for (const std::string& rule : saved.rules) {
    const std::string_view tag = tag_of(rule);
    if (tag.empty()) continue;
    const auto address = address_of(rule);
    if (!address) continue;
    if (chosen(tag)) {
      out += xtables::as_command("-D", rule);
      if (std::ranges::find(freed, *address) == freed.end()) freed.push_back(*address);
    }
  }
  for (const std::string& rule : saved.rules) {
    const std::string_view tag = tag_of(rule);
    if (!tag.empty() && !chosen(tag)) std::erase(freed, address_of(rule).value_or(IpAddress{}));
  }
  for (const IpAddress& address : freed) {
    for (const std::string& rule : reference_rules(address)) {
      // An interrupted ADD of the reference may have left it twice.
      for (auto n = std::ranges::count(saved.rules, rule); n > 0; --n) {
        out += xtables::as_command("-D", rule);
      }
    }
  }
  return out;
}

void remove_family(Family family, const std::vector<IpAddress>& addresses,
                   const std::function<bool(std::string_view tag)>& chosen) {
  const std::vector<IpAddress> own = of_family(addresses, family);
  // Only who has something to remove waits for who holds the lock.
  if (removals(xtables::save(family, kTable), own, chosen).empty()) return;
  const auto lock = FileLock::of_suite_if_possible(kLock);
  xtables::restore(family, kTable, removals(xtables::save(family, kTable), own, chosen));
}

/// Rules of CNI-FORWARD that the nftables backend did not make.
bool may_have_rules(Host& host, Family family) {
  if (xtables::may_have_legacy_table(family, kTable)) return true;
  if (!host.has_nft()) return false;
  const auto rules = nft::list_rules(host.nft(), iptables_filter(family), kOurs);
  return std::ranges::any_of(rules, [](const nft::StoredRule& rule) {
    return rule.jump.empty() && !rule.comment.starts_with("cnipp ");
  });
}

}  // namespace

void add(Host& host, const Owner& owner, const Rules& rules) {
  Rollback rollback;
  for (const Family family : xtables::kFamilies) {
    const std::vector<IpAddress> addresses = of_family(rules.addresses, family);
    if (addresses.empty()) continue;
    const FileLock lock = FileLock::of_suite(kLock);
    const Ruleset saved = xtables::save(family, kTable);
    const bool known = std::ranges::any_of(
        saved.rules, [&](const std::string& rule) { return tag_of(rule) == owner.tag(); });
    if (!known) {
      rollback.on_failure(concat("remove the rules of ", xtables::program(family)),
                          [&host, &owner, addresses] { remove(host, owner, addresses); });
    }
    xtables::restore(family, kTable, additions(saved, owner, rules, addresses));
  }
  rollback.commit();
}

void remove(Host& host, const Owner& owner, const std::vector<IpAddress>& addresses) {
  ErrorList errors;
  for (const Family family : xtables::kFamilies) {
    errors.attempt(concat("remove the rules of ", xtables::program(family)), [&] {
      if (!may_have_rules(host, family)) return;
      remove_family(family, addresses, [&](std::string_view tag) { return tag == owner.tag(); });
    });
  }
  errors.throw_if_any();
}

void check(const Owner& owner, const Rules& rules) {
  for (const Family family : xtables::kFamilies) {
    const std::vector<IpAddress> addresses = of_family(rules.addresses, family);
    if (addresses.empty()) continue;
    const Ruleset saved = xtables::save(family, kTable);
    std::vector<std::string> wanted{forward_jump(), admin_jump(rules.admin_chain)};
    for (const IpAddress& address : addresses) {
      std::ranges::move(reference_rules(address), std::back_inserter(wanted));
      if (rules.recorded) wanted.push_back(owned_rule(owner, address));
    }
    if (!rules.policy.empty()) {
      wanted.insert(wanted.end(), {stage_jump(), last_of_stage(kStage1), last_of_stage(kStage2)});
      std::ranges::move(policy_rules(rules), std::back_inserter(wanted));
    }
    const auto differs = [&](std::string_view what) {
      throw Error(ErrorCode::kMismatch, concat(xtables::program(family), " filter: ", what));
    };
    for (const std::string& rule : wanted) {
      if (!saved.has_rule(rule)) differs(concat("the rule ", quote(rule), " is missing"));
    }
    if (!rules.policy.empty() && position(saved, stage_jump()) > position(saved, forward_jump())) {
      differs(concat("the jump to ", kStage1, " comes after that to ", kOurs));
    }
  }
}

void collect(Host& host, std::string_view network,
             const std::function<bool(std::string_view tag)>& keep) {
  const std::string prefix = Owner::network_tag(network);
  for (const Family family : xtables::kFamilies) {
    if (!may_have_rules(host, family)) continue;
    remove_family(family, {},
                  [&](std::string_view tag) { return tag.starts_with(prefix) && !keep(tag); });
  }
}

void remove_unused(Host& host) {
  for (const Family family : xtables::kFamilies) {
    if (!xtables::may_have_chain(host, family, kTable, kStage2)) continue;
    const auto lock = FileLock::of_suite_if_possible(kLock);
    const Ruleset saved = xtables::save(family, kTable);
    const std::string begin = concat("-A ", kStage2, " -o ");
    std::string commands;
    for (const std::string& rule : saved.rules) {
      if (!rule.starts_with(begin)) continue;
      Rules old;
      old.link = rule.substr(begin.size(), rule.find(' ', begin.size()) - begin.size());
      if (netlink::find_link(host.route(), old.link)) continue;
      std::vector<std::string> dead;
      for (const char* const policy : {"isolated", "same-bridge"}) {
        old.policy = policy;
        for (std::string& candidate : policy_rules(old)) {
          const bool known = std::ranges::find(dead, candidate) != dead.end();
          if (!known && saved.has_rule(candidate)) dead.push_back(std::move(candidate));
        }
      }
      for (const std::string& candidate : dead) commands += xtables::as_command("-D", candidate);
    }
    xtables::restore(family, kTable, commands);
  }
}

}  // namespace cni::firewall::iptables
