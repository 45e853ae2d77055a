// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "attach/lower_link.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/concat.h"
#include "base/error.h"
#include "netlink/address.h"

namespace cni::lower_link {
namespace {

using netlink::Link;
using netlink::Socket;

constexpr std::string_view kMacPrefix = "mac:", kSubnetPrefix = "subnet:";
constexpr std::array<std::string_view, 5> kStacked = {"ipvlan", "macvlan", "macvtap", "vlan",
                                                      "bridge"};

Choice parse_choice(const JsonRef& json) {
  Choice out{.text = json.string()};
  const std::string_view text = out.text;
  if (text.empty()) json.fail("must not be empty");
  if (text.starts_with(kMacPrefix)) {
    out.mac = Mac::try_parse(text.substr(kMacPrefix.size()));
    if (!out.mac) json.fail(concat("not a MAC after \"mac:\": ", quote(text)));
  } else if (text.starts_with(kSubnetPrefix)) {
    out.subnet = IpNet::try_parse(text.substr(kSubnetPrefix.size()));
    if (!out.subnet) json.fail(concat("not a CIDR after \"subnet:\": ", quote(text)));
  }
  return out;
}

std::optional<Link> find_by_mac(Socket& socket, const Mac& mac) {
  std::optional<Link> out;
  for (const Link& link : netlink::list_links(socket)) {
    if (link.mac != mac || std::ranges::find(kStacked, link.kind) != kStacked.end()) continue;
    if (link.kind.empty()) return link;  // hardware
    if (!out) out = link;
  }
  return out;
}

std::optional<Link> find_by_subnet(Socket& socket, const IpNet& subnet) {
  for (const Link& link : netlink::list_links(socket)) {
    if (link.master != 0) continue;  // a bridge's port: of a host with many containers, most
    const auto addresses = netlink::list_addresses(socket, link.ifindex, subnet.address.family());
    if (std::ranges::any_of(addresses, [&](const netlink::Address& address) {
          return subnet.contains(address.net.address);
        })) {
      return link;
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<Choice> parse_choices(const JsonRef& json) {
  if (!json.present()) return {};
  if (!json.is_array()) {
    if (json.string().empty()) return {};
    return {parse_choice(json)};
  }
  std::vector<Choice> out;
  for (const JsonRef& item : json.items()) out.push_back(parse_choice(item));
  if (out.empty()) json.fail("must name at least one link");
  return out;
}

std::optional<Link> find(Socket& socket, const std::vector<Choice>& choices) {
  for (const Choice& choice : choices) {
    auto link = choice.mac      ? find_by_mac(socket, *choice.mac)
                : choice.subnet ? find_by_subnet(socket, *choice.subnet)
                                : netlink::find_link(socket, choice.text);
    if (link) return link;
  }
  return std::nullopt;
}

std::string text_of(const std::vector<Choice>& choices) {
  std::string out;
  for (const Choice& choice : choices) {
    out += concat(out.empty() ? "" : " or ", quote(choice.text));
  }
  return out;
}

}  // namespace cni::lower_link
