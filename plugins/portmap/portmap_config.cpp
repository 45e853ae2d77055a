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
constexpr std::string_view kNftables = "nftables", kIptables = "iptables";
constexpr std::string_view kBlanks = " \t\r\n";

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

std::vector<std::string> words_of(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  for (const std::string& token : tokens) {
    std::size_t at = 0;
    while ((at = token.find_first_not_of(kBlanks, at)) != token.npos) {
      const std::size_t end = std::min(token.find_first_of(kBlanks, at), token.size());
      out.push_back(token.substr(at, end - at));
      at = end;
    }
  }
  return out;
}

/// The nft(8) conditions that we can say ourselves: `ip saddr [!=] NET`, `ip daddr [!=] NET` (ip6
/// for IPv6), `iifname [!=] NAME`, any number of them.
class ConditionParser {
 public:
  ConditionParser(std::string key, Family family, const std::vector<std::string>& tokens)
      : key_(std::move(key)), family_(family), words_(words_of(tokens)) {}

  std::vector<Condition> parse() {
    std::vector<Condition> out;
    while (at_ < words_.size()) out.push_back(parse_one());
    return out;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::kInvalidConfig, concat(key_, ": ", what),
                "the nftables backend knows \"ip saddr\", \"ip daddr\" (ip6 for IPv6) and "
                "\"iifname\", each with \"!=\" or without, and then a value");
  }

  std::string next() {
    if (at_ == words_.size()) fail("ends in the middle of a condition");
    return words_[at_++];
  }

  Condition parse_one() {
    Condition out;
    const std::string first = next();
    if (first == "iifname") {
      out.subject = Condition::Subject::kInputLink;
    } else if (first == (family_ == Family::kV4 ? "ip" : "ip6")) {
      const std::string field = next();
      if (field != "saddr" && field != "daddr") fail(concat("not understood: ", quote(field)));
      out.subject =
          field == "saddr" ? Condition::Subject::kSource : Condition::Subject::kDestination;
    } else {
      fail(concat("not understood: ", quote(first)));
    }
    std::string value = next();
    if (value == "!=" || value == "==") {
      out.negated = value == "!=";
      value = next();
    }
    if (out.subject == Condition::Subject::kInputLink) {
      out.link = link_name(value);
    } else {
      out.net = net(value);
    }
    return out;
  }

  std::string link_name(std::string value) const {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    if (interface_name_problem(value)) fail(concat("not an interface name: ", quote(value)));
    return value;
  }

  IpNet net(const std::string& value) const {
    auto out = IpNet::try_parse(value);
    if (const auto address = IpAddress::try_parse(value)) out = IpNet::host(*address);
    if (!out || out->family() != family_) {
      fail(concat("not an address or network of its family: ", quote(value)));
    }
    return *out;
  }

  std::string key_;
  Family family_;
  std::vector<std::string> words_;
  std::size_t at_ = 0;
};

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
  for (const JsonRef& item : mappings.items()) out.mappings.push_back(parse_mapping(item));
  require_consistent(mappings, out.mappings);
  if (out.backend == kNftables) {
    out.nft_conditions_v4_ =
        ConditionParser("conditionsV4", Family::kV4, out.conditions_v4).parse();
    out.nft_conditions_v6_ =
        ConditionParser("conditionsV6", Family::kV6, out.conditions_v6).parse();
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
  return family == Family::kV4 ? nft_conditions_v4_ : nft_conditions_v6_;
}

}  // namespace cni::portmap
