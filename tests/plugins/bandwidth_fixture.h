// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "plugins/veth_host.h"

namespace cni::test {

/// 10 Mbit/s and 100,000 bytes towards the container, 20 Mbit/s and 50,000 bytes from it.
inline constexpr std::string_view kBothWays =
    R"("ingressRate":10000000,"ingressBurst":800000,"egressRate":20000000,"egressBurst":400000)";

/// The root qdisc of a link on the host, as tc shows it.
inline Json root_qdisc(std::string_view link) {
  const Json all = tool_json(concat("tc -s -j qdisc show dev ", link));
  for (const JsonRef& qdisc : all.root().items()) {
    if (qdisc["root"].bool_or(false)) return Json(qdisc);
  }
  return {};
}

inline std::string option(const Json& qdisc, std::string_view key) {
  return qdisc.root()["options"][key].text();
}

/// The kinds of the qdiscs of a link, sorted; fq_codel is left out, which not every kernel has.
inline std::string qdiscs_of(std::string_view link) {
  const Json all = tool_json(concat("tc -j qdisc show dev ", link));
  std::vector<std::string> kinds;
  for (const JsonRef& qdisc : all.root().items()) {
    if (qdisc["kind"].string() != "fq_codel") kinds.push_back(qdisc["kind"].string());
  }
  std::ranges::sort(kinds);
  std::string out;
  for (const std::string& kind : kinds) out += concat(out.empty() ? "" : " ", kind);
  return out;
}

/// The names of all ifbs of the host, sorted.
inline std::vector<std::string> ifbs() {
  const Json list = tool_json("ip -j link show type ifb");
  std::vector<std::string> out;
  for (const JsonRef& link : list.root().items()) {
    if (const std::string name = link["ifname"].string_or(""); !name.empty()) out.push_back(name);
  }
  std::ranges::sort(out);
  return out;
}

/// Where what arrives at the link is sent; "" when nowhere, "*" when that has gone.
inline std::string redirected_to(std::string_view link) {
  const Json filters = tool_json(concat("tc -j filter show dev ", link, " ingress"));
  for (const JsonRef& filter : filters.root().items()) {
    for (const JsonRef& action : filter["options"]["actions"].items()) {
      if (action["kind"].string_or("") == "mirred") return action["to_dev"].string_or("*");
    }
  }
  return {};
}

/// Addresses on both ends, so that packets can be sent.
inline void address_both_ends(const VethHost& on) {
  tool("ip addr add 10.1.2.1/24 dev host0");
  tool(concat("ip addr add 10.1.2.3/24 dev ", on.ifname), on.inside());
}

}  // namespace cni::test
