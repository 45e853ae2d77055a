// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "portmap_config.h"

#include <algorithm>
#include <tuple>

#include "base/concat.h"
#include "base/error.h"

namespace cni::portmap {
namespace {

constexpr std::int64_t kMaxMarkBit = 31, kMaxPort = 65535;
constexpr std::size_t kMaxMappings = 131072;  // every port of two protocols
constexpr std::string_view kNftables = "nftables", kIptables = "iptables";

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

std::uint16_t parse_port(const JsonRef& json) {
  const auto port = json.integer(1, kMaxPort);
  if (!port) json.fail("missing");
  return static_cast<std::uint16_t>(*port);
}

PortMapping::Protocol parse_protocol(const JsonRef& json) {
  const std::string name = lower(json.string_or(""));
  using Protocol = PortMapping::Protocol;
  if (name.empty()) return Protocol::kTcp;
  for (const Protocol protocol : {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp}) {
    if (name == text(protocol)) return protocol;
  }
  json.fail(concat("must be tcp, udp or sctp, got ", quote(name)));
}

std::optional<IpAddress> parse_host_ip(const JsonRef& json) {
  const std::string text = json.string_or("");
  if (text.empty()) return std::nullopt;
  const auto address = IpAddress::try_parse(text);
  if (!address) json.fail(concat("not an IP address: ", quote(text)));
  if (address->is_multicast()) json.fail(concat("a multicast address: ", quote(text)));
  return address;
}

PortMapping parse_mapping(const JsonRef& json) {
  if (!json.present()) json.fail("expected an object, got null");
  PortMapping out;
  out.container_port = parse_port(json["containerPort"]);
  out.host_port = parse_port(json["hostPort"]);
  out.protocol = parse_protocol(json["protocol"]);
  out.host_ip = parse_host_ip(json["hostIP"]);
  return out;
}

JsonRef mappings_json(const Request& request) {
  return request.conf.runtime_config()["portMappings"];
}

/// One port cannot lead to two.
void require_consistent(const JsonRef& json, const std::vector<PortMapping>& mappings) {
  for (const Family family : {Family::kV4, Family::kV6}) {
    const std::vector<PortMapping> of_family = mappings_of(mappings, family);
    for (std::size_t i = 1; i < of_family.size(); ++i) {
      const PortMapping& a = of_family[i - 1];  // sorted
      const PortMapping& b = of_family[i];
      if (std::tie(a.protocol, a.host_port, a.host_ip) !=
          std::tie(b.protocol, b.host_port, b.host_ip)) {
        continue;
      }
      json.fail(concat("host port ", a.host_port, "/", text(a.protocol),
                       " is to lead to container ports ", a.container_port, " and ",
                       b.container_port));
    }
  }
}

bool is_of_iptables(const std::vector<std::string>& conditions) {
  return !conditions.empty() && !conditions.front().empty() &&
         (conditions.front().front() == '-' || conditions.front().front() == '!');
}

bool is_of_nftables(const std::vector<std::string>& conditions) {
  return !conditions.empty() && !conditions.front().empty() && !is_of_iptables(conditions);
}

std::string_view parse_backend(const JsonRef& json, const Config& conf) {
  std::string of_iptables;
  std::string of_nftables;
  const auto note = [](std::string& list, std::string_view name) {
    list += concat(list.empty() ? "" : " ", name);
  };
  if (!conf.external_set_mark_chain.empty()) note(of_iptables, "externalSetMarkChain");
  if (is_of_iptables(conf.conditions_v4)) note(of_iptables, "conditionsV4");
  if (is_of_iptables(conf.conditions_v6)) note(of_iptables, "conditionsV6");
  if (is_of_nftables(conf.conditions_v4)) note(of_nftables, "conditionsV4");
  if (is_of_nftables(conf.conditions_v6)) note(of_nftables, "conditionsV6");
  const std::string name = json.string_or("");
  const auto refuse = [&](std::string_view backend, std::string_view other,
                          const std::string& options) {
    if (options.empty()) return;
    throw Error(ErrorCode::kInvalidConfig,
                concat(backend, " backend was requested but configuration contains ", other,
                       "-specific options [", options, "]"));
  };
  if (name.empty()) {
    // Lists that were written when iptables was what one got keep it.
    if (!of_iptables.empty()) refuse(kIptables, kNftables, of_nftables);
    return of_iptables.empty() ? kNftables : kIptables;
  }
  if (name == kNftables) {
    refuse(kNftables, kIptables, of_iptables);
    return kNftables;
  }
  if (name != kIptables) json.fail(concat("unrecognized backend ", quote(name)));
  refuse(kIptables, kNftables, of_nftables);
  return kIptables;
}

}  // namespace

std::vector<PortMapping> mappings_of(const std::vector<PortMapping>& mappings, Family family) {
  std::vector<PortMapping> out;
  for (PortMapping mapping : mappings) {
    if (!mapping.serves(family)) continue;
    mapping.host_ip = mapping.bound_to();
    out.push_back(mapping);
  }
  std::ranges::sort(out, {}, [](const PortMapping& m) {
    return std::tie(m.protocol, m.host_port, m.host_ip, m.container_port);
  });
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Config Config::parse(const Request& request) {
  const JsonRef root = request.conf.root();
  Config out;
  out.snat = root["snat"].bool_or(true);
  out.masq_all = root["masqAll"].bool_or(false);
  out.external_set_mark_chain = root["externalSetMarkChain"].string_or("");
  const auto bit = root["markMasqBit"].integer(0, kMaxMarkBit);
  if (bit && !out.external_set_mark_chain.empty()) {
    root["externalSetMarkChain"].fail("cannot be used together with markMasqBit");
  }
  out.mark_masq_bit = static_cast<unsigned>(bit.value_or(out.mark_masq_bit));
  out.conditions_v4 = root["conditionsV4"].strings();
  out.conditions_v6 = root["conditionsV6"].strings();
  out.backend = parse_backend(root["backend"], out);
  const JsonRef mappings = mappings_json(request);
  const std::vector<JsonRef> items = mappings.items();
  if (items.size() > kMaxMappings) {
    mappings.fail(concat("more than ", kMaxMappings, " entries: ", items.size()));
  }
  for (const JsonRef& item : items) out.mappings.push_back(parse_mapping(item));
  require_consistent(mappings, out.mappings);
  if (out.backend == kNftables) {
    out.nft_v4_ = Conditions::parse("conditionsV4", Family::kV4, out.conditions_v4);
    out.nft_v6_ = Conditions::parse("conditionsV6", Family::kV6, out.conditions_v6);
  }
  return out;
}

Config Config::parse_leniently(const Request& request) {
  Config out;
  try {
    const JsonRef root = request.conf.root();
    for (const JsonRef& item : mappings_json(request).items()) {
      try {
        out.mappings.push_back(parse_mapping(item));
      } catch (const Error&) {
        // Nothing of ours can have been made from it.
      }
    }
    out.snat = root["snat"].bool_or(true);
    out.masq_all = root["masqAll"].bool_or(false);
  } catch (const Error&) {
    // What it says serves to look in the likely places first: the owner's tag finds the rest.
  }
  return out;
}

Snat Config::nft_snat() const noexcept {
  if (!snat) return Snat::kNone;
  return masq_all ? Snat::kAll : Snat::kNeeded;
}

const std::vector<Condition>& Config::nft_conditions(Family family) const noexcept {
  return (family == Family::kV4 ? nft_v4_ : nft_v6_).of_packets;
}

std::vector<PortMapping> Config::published(Family family) const {
  std::vector<PortMapping> out = mappings_of(mappings, family);
  for (const PortCondition& condition : (family == Family::kV4 ? nft_v4_ : nft_v6_).of_ports) {
    std::erase_if(out, [&](const PortMapping& mapping) { return !condition.holds_for(mapping); });
  }
  return out;
}

}  // namespace cni::portmap
