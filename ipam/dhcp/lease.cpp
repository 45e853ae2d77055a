// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "lease.h"

#include <algorithm>
#include <bit>

#include "base/error.h"

namespace cni::dhcp {
namespace {

using std::chrono::seconds;

constexpr std::uint32_t kInfinite = 0xffffffff;
constexpr std::uint32_t kUsualLease = 3600;
// What asks for renewal more often than this is a mistake of the server's; dhcpcd does likewise.
constexpr std::uint32_t kLeastLease = 10;
constexpr unsigned kScopeLink = 253;
constexpr std::size_t kMaxName = 255;
constexpr std::uint16_t kLeastMtu = 68;  // RFC 791

/// The prefix length of a mask; nullopt when its bits are no row.
std::optional<int> prefix_of(const IpAddress& mask) {
  std::uint32_t bits = 0;
  for (const std::uint8_t byte : mask.bytes()) bits = bits << 8U | byte;
  const int ones = std::countl_one(bits);
  if (std::popcount(bits) != ones) return std::nullopt;
  return ones;
}

/// The network of an address as it was before masks (RFC 2132, section 5.8).
int classful_prefix(const IpAddress& address) {
  const std::uint8_t first = address.bytes()[0];
  if (first < 128) return 8;
  return first < 192 ? 16 : 24;
}

void append_classless(Result& result, std::vector<ClasslessRoute> routes) {
  // A router may be reached only through a route on the link.
  std::stable_partition(routes.begin(), routes.end(),
                        [](const ClasslessRoute& route) { return route.router.is_unspecified(); });
  for (const ClasslessRoute& route : routes) {
    Route out;
    out.dst = route.to;
    out.gw = route.router;
    if (route.router.is_unspecified()) out.scope = kScopeLink;
    result.routes.push_back(out);
  }
}

void append_classful(Result& result, const Options& options,
                     const std::optional<IpAddress>& gateway) {
  const std::vector<IpAddress> pairs = get_addresses(options, option::kStaticRoutes);
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2) {
    Route out;
    out.dst = IpNet{pairs[i], classful_prefix(pairs[i])}.network();
    out.gw = pairs[i + 1];
    if (!pairs[i].is_unspecified()) result.routes.push_back(out);
  }
  if (!gateway) return;
  Route out;
  out.dst = {IpAddress::v4(0), 0};
  out.gw = gateway;
  result.routes.push_back(out);
}

/// Names are joined with dots; white space splits the option that is plain text.
bool is_domain(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

Dns to_dns(const Options& options) {
  Dns out;
  for (const IpAddress& server : get_addresses(options, option::kDnsServers)) {
    if (!server.is_unspecified()) out.nameservers.push_back(server.text());
  }
  const std::string domain = get_text(options, option::kDomainName);
  if (is_domain(domain)) out.domain = domain;
  const auto search = options.find(option::kDomainSearch);
  if (search != options.end()) out.search = parse_domain_search(search->second);
  return out;
}

/// One name, read from `at` on; `at` is then behind it. nullopt when it is malformed.
std::optional<std::string> read_name(View message, std::size_t& at) {
  std::string out;
  std::size_t here = at;
  bool jumped = false;
  while (here < message.size()) {
    const std::uint8_t length = message[here];
    if (length == 0) {
      if (!jumped) at = here + 1;
      return is_domain(out) ? std::optional(out) : std::nullopt;
    }
    if ((length & 0xc0U) == 0xc0) {
      if (here + 1 >= message.size()) return std::nullopt;
      const std::size_t target = (std::size_t{length & 0x3fU} << 8U) | message[here + 1];
      // Backwards only: there is no circle.
      if (target >= here) return std::nullopt;
      if (!jumped) at = here + 2;
      jumped = true;
      here = target;
      continue;
    }
    if ((length & 0xc0U) != 0 || message.size() - here - 1 < length) return std::nullopt;
    if (!out.empty()) out += '.';
    for (const std::uint8_t c : message.subspan(here + 1, length)) out += static_cast<char>(c);
    if (out.size() > kMaxName) return std::nullopt;
    here += std::size_t{1} + length;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Lease> Lease::of(const Packet& ack, const Mac& sender, Time asked) {
  const auto server = get_address(ack.options, option::kServerId);
  if (!server || server->is_unspecified() || ack.yiaddr.is_unspecified()) return std::nullopt;
  Lease out{.address = ack.yiaddr,
            .server = *server,
            .sender = sender,
            .options = ack.options,
            .t1 = kNever,
            .t2 = kNever,
            .expiry = kNever};
  const std::uint32_t asked_for = get_u32(ack.options, option::kLeaseTime).value_or(kUsualLease);
  if (asked_for == kInfinite) return out;
  const std::uint32_t whole = std::max(asked_for, kLeastLease);
  const std::uint32_t usual_t2 = static_cast<std::uint32_t>(std::uint64_t{whole} * 7 / 8);
  std::uint32_t t1 = get_u32(ack.options, option::kRenewalTime).value_or(whole / 2);
  std::uint32_t t2 = get_u32(ack.options, option::kRebindingTime).value_or(usual_t2);
  if (t2 == 0 || t2 >= whole) t2 = usual_t2;
  if (t1 < kLeastLease / 2 || t1 >= t2) t1 = std::min(whole / 2, t2);
  out.t1 = asked + seconds(t1);
  out.t2 = asked + seconds(t2);
  out.expiry = asked + seconds(whole);
  return out;
}

Result to_result(const Lease& lease, unsigned priority) {
  const auto mask = get_address(lease.options, option::kSubnetMask);
  const auto prefix = mask ? prefix_of(*mask) : std::nullopt;
  if (!prefix) {
    throw Error(ErrorCode::kTryAgain, mask ? "DHCP option Subnet Mask in DHCPACK is no mask"
                                           : "DHCP option Subnet Mask not found in DHCPACK");
  }
  Result out;
  std::optional<IpAddress> gateway;
  for (const IpAddress& router : get_addresses(lease.options, option::kRouter)) {
    if (!gateway && !router.is_unspecified()) gateway = router;
  }
  out.ips.push_back({std::nullopt, {lease.address, *prefix}, gateway});
  const auto classless = lease.options.find(option::kClasslessRoutes);
  auto routes =
      classless == lease.options.end() ? std::nullopt : parse_classless_routes(classless->second);
  if (routes) {
    append_classless(out, std::move(*routes));
  } else {
    append_classful(out, lease.options, gateway);
  }
  const std::uint16_t mtu = get_u16(lease.options, option::kMtu).value_or(0);
  for (Route& route : out.routes) {
    route.priority = priority;
    if (mtu >= kLeastMtu) route.mtu = mtu;
  }
  out.dns = to_dns(lease.options);
  return out;
}

std::optional<std::vector<ClasslessRoute>> parse_classless_routes(View value) {
  std::vector<ClasslessRoute> out;
  while (!value.empty()) {
    const std::size_t prefix = value[0];
    const std::size_t significant = (prefix + 7) / 8;
    if (prefix > 32 || value.size() < 1 + significant + 4) return std::nullopt;
    std::uint8_t address[4] = {};
    std::ranges::copy(value.subspan(1, significant), address);
    const IpNet to{IpAddress::from_bytes(Family::kV4, address), static_cast<int>(prefix)};
    out.push_back(
        {to.network(), IpAddress::from_bytes(Family::kV4, value.subspan(1 + significant, 4))});
    value = value.subspan(1 + significant + 4);
  }
  if (out.empty()) return std::nullopt;
  return out;
}

std::vector<std::string> parse_domain_search(View value) {
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < value.size()) {
    const auto name = read_name(value, at);
    if (!name) break;
    out.push_back(*name);
  }
  return out;
}

}  // namespace cni::dhcp
