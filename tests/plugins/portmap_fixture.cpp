// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "plugins/portmap_fixture.h"

#include <algorithm>
#include <filesystem>

#include "base/concat.h"
#include "base/error.h"
#include "model/result.h"
#include "support/skip.h"

namespace cni::test {

std::string portmap_conf(std::string_view mappings, std::string_view members,
                         std::string_view version, std::string_view network) {
  return concat(R"({"cniVersion":")", version, R"(","name":")", network, R"(","type":"portmap",)",
                R"("capabilities":{"portMappings":true},)", members, members.empty() ? "" : ",",
                R"("runtimeConfig":{"portMappings":[)", mappings, "]}}");
}

std::string mapping(int host_port, int container_port, std::string_view protocol,
                    std::string_view host_ip) {
  return concat(R"({"hostPort":)", host_port, R"(,"containerPort":)", container_port,
                R"(,"protocol":")", protocol, "\"",
                host_ip.empty() ? "" : concat(R"(,"hostIP":")", host_ip, "\""), "}");
}

Container::Container(const std::string& id)
    : sandbox(id),
      bridge{.conf = bridge_conf(concat(kDualStack, R"(,"hairpinMode":true)")),
             .netns = sandbox.path(),
             .id = id},
      result(bridge.add()) {}

Attachment Container::portmap(const std::string& conf) const {
  return {.conf = with(conf, "prevResult", result),
          .netns = sandbox.path(),
          .id = bridge.id,
          .plugin = "portmap"};
}

Attachment Container::publish(const std::string& mappings, std::string_view members) const {
  const Attachment attachment = portmap(portmap_conf(mappings, members));
  attachment.add();
  return attachment;
}

std::string Container::address(std::size_t index) const {
  return parse_result(result.root(), kLatestVersion).ips.at(index).address.address.text();
}

PortHost::PortHost() {
  host.enable_forwarding();
  if (std::filesystem::exists("/proc/sys/net/bridge")) set_bridge_netfilter(false);
}

void PortHost::set_bridge_netfilter(bool on) const {
  if (!std::filesystem::exists("/proc/sys/net/bridge")) skip("no br_netfilter here");
  for (const auto* key :
       {"net/bridge/bridge-nf-call-iptables", "net/bridge/bridge-nf-call-ip6tables"}) {
    host.net().set_sysctl(key, on ? "1" : "0");
  }
}

std::vector<std::string> elements_of(std::string_view map) {
  const std::string text = tool(concat("nft list map inet cnipp ", map));
  const auto begin = text.find("elements = {");
  std::vector<std::string> out;
  if (begin == text.npos) return out;
  std::string_view rest = std::string_view(text).substr(begin + 12);
  rest = rest.substr(0, rest.find('}'));
  while (!rest.empty()) {
    const auto comma = rest.find(",\n");
    std::string one(rest.substr(0, comma));
    one = one.substr(0, one.find(" comment "));
    const auto first = one.find_first_not_of(" \t\n");
    if (first != one.npos)
      out.push_back(one.substr(first, one.find_last_not_of(" \t\n") - first + 1));
    rest.remove_prefix(comma == rest.npos ? rest.size() : comma + 2);
  }
  std::ranges::sort(out);
  return out;
}

std::size_t count_port_elements() {
  const Json ruleset = tool_json("nft -j list ruleset");
  std::size_t count = 0;
  for (const JsonRef& object : ruleset.root()["nftables"].items()) {
    for (const auto& [kind, value] : object.members()) {
      if (kind != "set" && kind != "map") continue;
      if (value["table"].string() != "cnipp" || !value["name"].string().starts_with("host"))
        continue;
      count += value["elem"].items().size();
    }
  }
  return count;
}

}  // namespace cni::test
