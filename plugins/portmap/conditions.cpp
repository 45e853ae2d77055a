// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "conditions.h"

#include <algorithm>
#include <charconv>

#include "base/concat.h"
#include "base/error.h"
#include "model/config.h"

namespace cni::portmap {
namespace {

constexpr std::string_view kBlanks = " \t\r\n", kMarks = "{},";

/// Words, and braces and commas as words of their own, however they are spread over the tokens.
std::vector<std::string> words_of(const std::vector<std::string>& tokens) {
  std::vector<std::string> out;
  for (const std::string& token : tokens) {
    bool open = false;
    for (const char c : token) {
      if (kBlanks.find(c) != kBlanks.npos) {
        open = false;
      } else if (kMarks.find(c) != kMarks.npos) {
        out.emplace_back(1, c);
        open = false;
      } else if (open) {
        out.back() += c;
      } else {
        out.emplace_back(1, c);
        open = true;
      }
    }
  }
  return out;
}

/// The networks that together are the addresses from `first` to `last`.
std::vector<IpNet> networks_between(IpAddress first, const IpAddress& last) {
  std::vector<IpNet> out;
  for (;;) {
    int prefix = first.bits();
    while (prefix > 0 && first.network(prefix - 1) == first && first.last(prefix - 1) <= last) {
      --prefix;
    }
    out.push_back({first, prefix});
    if (first.last(prefix) == last) return out;
    first = first.last(prefix).next();
  }
}

class Parser {
 public:
  Parser(const std::string& key, Family family, const std::vector<std::string>& tokens)
      : key_(key), family_(family), words_(words_of(tokens)) {}

  Conditions parse() {
    while (at_ < words_.size()) parse_one();
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::kInvalidConfig, concat(key_, ": ", what),
                "the nftables backend knows \"ip saddr\", \"ip daddr\" (ip6 for IPv6), \"iifname\" "
                "and \"tcp dport\" (udp, sctp), each with \"!=\" or without, and then a value, a "
                "range or several in braces");
  }

  std::string next() {
    if (at_ == words_.size()) fail("ends in the middle of a condition");
    return words_[at_++];
  }

  void parse_one() {
    std::string first = next();
    if (first == "meta") first = next();
    if (first == "iifname") {
      parse_links();
    } else if (first == (family_ == Family::kV4 ? "ip" : "ip6")) {
      const std::string field = next();
      if (field != "saddr" && field != "daddr") fail(concat("not understood: ", quote(field)));
      using Subject = Condition::Subject;
      parse_nets(field == "saddr" ? Subject::kSource : Subject::kDestination);
    } else {
      parse_ports(first);
    }
  }

  void parse_links() {
    Condition out{.subject = Condition::Subject::kInputLink, .negated = negated()};
    for (const std::string& value : values()) out.links.push_back(link_name(value));
    out_.of_packets.push_back(std::move(out));
  }

  void parse_nets(Condition::Subject subject) {
    Condition out{.subject = subject, .negated = negated()};
    for (const std::string& value : values()) {
      std::ranges::move(nets(value), std::back_inserter(out.nets));
    }
    out_.of_packets.push_back(std::move(out));
  }

  void parse_ports(const std::string& protocol) {
    using Protocol = PortMapping::Protocol;
    for (const Protocol known : {Protocol::kTcp, Protocol::kUdp, Protocol::kSctp}) {
      if (protocol != text(known)) continue;
      const std::string field = next();
      if (field != "dport") fail(concat("not understood: ", quote(concat(protocol, " ", field))));
      PortCondition out{.protocol = known, .negated = negated()};
      for (const std::string& value : values()) out.ranges.push_back(port_range(value));
      out_.of_ports.push_back(std::move(out));
      return;
    }
    fail(concat("not understood: ", quote(protocol)));
  }

  bool negated() {
    const bool operation = at_ < words_.size() && (words_[at_] == "!=" || words_[at_] == "==");
    return operation && next() == "!=";
  }

  /// One, or several in braces.
  std::vector<std::string> values() {
    std::vector<std::string> out{next()};
    if (out.front() != "{") return out;
    out.clear();
    for (;;) {
      out.push_back(next());
      const std::string mark = next();
      if (mark == "}") return out;
      if (mark != ",") fail(concat("neither a comma nor a brace: ", quote(mark)));
      if (at_ < words_.size() && words_[at_] == "}") return ++at_, out;
    }
  }

  std::string link_name(std::string value) const {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    if (interface_name_problem(value)) fail(concat("not an interface name: ", quote(value)));
    return value;
  }

  std::vector<IpNet> nets(const std::string& value) const {
    const auto dash = value.find('-');
    const auto first = IpAddress::try_parse(value.substr(0, dash));
    if (dash != value.npos) {
      const auto last = IpAddress::try_parse(value.substr(dash + 1));
      const bool range = first && last && first->family() == family_ && last->family() == family_ &&
                         *first <= *last;
      if (range) return networks_between(*first, *last);
    }
    auto out = IpNet::try_parse(value);
    if (first) out = IpNet::host(*first);
    if (!out || out->family() != family_ || dash != value.npos) {
      fail(concat("not an address or network of its family: ", quote(value)));
    }
    return {*out};
  }

  std::pair<std::uint16_t, std::uint16_t> port_range(const std::string& value) const {
    const auto dash = value.find('-');
    const std::uint16_t first = port(value.substr(0, dash), value);
    const std::uint16_t last = dash == value.npos ? first : port(value.substr(dash + 1), value);
    if (first > last) fail(concat("not a range of ports: ", quote(value)));
    return {first, last};
  }

  std::uint16_t port(const std::string& digits, const std::string& value) const {
    std::uint16_t out = 0;
    const char* const end = digits.data() + digits.size();
    const auto [rest, error] = std::from_chars(digits.data(), end, out);
    if (error != std::errc{} || rest != end) fail(concat("not a port: ", quote(value)));
    return out;
  }

  const std::string& key_;
  Family family_;
  std::vector<std::string> words_;
  std::size_t at_ = 0;
  Conditions out_;
};

}  // namespace

bool PortCondition::holds_for(const PortMapping& mapping) const noexcept {
  const bool inside = std::ranges::any_of(ranges, [&](const auto& range) {
    return range.first <= mapping.host_port && mapping.host_port <= range.second;
  });
  return mapping.protocol == protocol && inside != negated;
}

Conditions Conditions::parse(const std::string& key, Family family,
                             const std::vector<std::string>& tokens) {
  return Parser(key, family, tokens).parse();
}

}  // namespace cni::portmap
