// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "config.h"

#include <algorithm>
#include <exception>

#include "base/concat.h"
#include "base/error.h"

namespace cni::host_local {
namespace {

constexpr std::size_t kMaxLine = 64U << 10;

std::optional<IpAddress> optional_address(const JsonRef& json) {
  const std::string text = json.string_or("");
  if (text.empty()) return std::nullopt;
  const auto address = IpAddress::try_parse(text);
  if (!address) json.fail(concat("not an IP address: ", quote(text)));
  return address;
}

RangeSpec parse_range(const JsonRef& json) {
  // A null entry has no members, so it lacks its subnet like an empty object.
  const JsonRef subnet = json["subnet"];
  const std::string text = subnet.string();
  const auto net = IpNet::try_parse(text);
  if (!net) subnet.fail(concat("invalid CIDR address: ", quote(text)));
  if (net->address.is_v4() && text.find(':') != text.npos) {
    subnet.fail(concat("IPNet IP and Mask version mismatch: ", quote(text)));
  }
  return {*net, optional_address(json["rangeStart"]), optional_address(json["rangeEnd"]),
          optional_address(json["gateway"])};
}

/// Adds a range set; its errors name the number it has among all sets.
void add_set(std::vector<RangeSet>& sets, const std::vector<RangeSpec>& specs,
             const std::string& path) {
  try {
    std::vector<Range> ranges;
    ranges.reserve(specs.size());
    for (const RangeSpec& spec : specs) ranges.push_back(Range::canonical(spec));
    sets.emplace_back(std::move(ranges));
  } catch (const Error& error) {
    throw Error(error.code(), concat("invalid range set ", sets.size(), ": ", error.msg()), path);
  }
}

void add_sets(std::vector<RangeSet>& sets, const JsonRef& list) {
  for (const JsonRef& set : list.items()) {
    if (!set.present()) set.fail("expected a range set (an array of ranges), got null");
    std::vector<RangeSpec> specs;
    for (const JsonRef& range : set.items()) specs.push_back(parse_range(range));
    add_set(sets, specs, set.path());
  }
}

std::vector<RangeSet> parse_sets(const NetConf& conf, const JsonRef& ipam) {
  std::vector<RangeSet> sets;
  add_sets(sets, conf.runtime_config()["ipRanges"]);
  if (ipam["subnet"].present()) add_set(sets, {parse_range(ipam)}, ipam.path());
  add_sets(sets, ipam["ranges"]);
  if (sets.empty()) ipam.fail("no IP ranges specified");

  if (conf.version < SpecVersion::k030) {
    const auto v4 = std::ranges::count(sets, Family::kV4, &RangeSet::family);
    if (v4 > 1 || static_cast<std::ptrdiff_t>(sets.size()) - v4 > 1) {
      ipam.fail(concat("CNI version ", text(conf.version),
                       " does not support more than 1 address per family"));
    }
  }
  check_disjoint(sets);
  return sets;
}

/// A requested address: a prefix length is allowed and ignored.
IpAddress parse_request(std::string_view text, const std::string& where) {
  const auto net = IpNet::try_parse(text);
  const auto address = net ? net->address : IpAddress::try_parse(text);
  if (!address) {
    throw Error(ErrorCode::kInvalidConfig,
                concat(where, ": cannot understand requested IP ", quote(text)));
  }
  return *address;
}

std::vector<IpAddress> parse_requests(const NetConf& conf, std::string_view args) {
  std::vector<IpAddress> out;
  const auto add = [&](const IpAddress& address) {
    if (std::ranges::find(out, address) == out.end()) out.push_back(address);
  };
  if (const std::string ip = CniArgs::parse(args, {"IP"}).get("IP"); !ip.empty()) {
    add(parse_request(ip, "CNI_ARGS: IP"));
  }
  for (const JsonRef& list : {conf.args_cni()["ips"], conf.runtime_config()["ips"]}) {
    for (const JsonRef& item : list.items()) add(parse_request(item.string(), item.path()));
  }
  return out;
}

Reclaim parse_reclaim(const JsonRef& json) {
  const std::string text = json.string_or("onExhaustion");
  if (text == "onExhaustion") return Reclaim::kOnExhaustion;
  if (text == "onBoot") return Reclaim::kOnBoot;
  if (text == "never") return Reclaim::kNever;
  json.fail(concat("must be onExhaustion, onBoot or never, got ", quote(text)));
}

std::vector<std::string_view> split_fields(std::string_view line) {
  std::vector<std::string_view> out;
  constexpr std::string_view kSpace = " \t\r\v\f";
  for (;;) {
    const auto begin = line.find_first_not_of(kSpace);
    if (begin == line.npos) return out;
    line.remove_prefix(begin);
    out.push_back(line.substr(0, line.find_first_of(kSpace)));
    line.remove_prefix(out.back().size());
  }
}

void read_line(Dns& dns, std::string_view line) {
  const std::vector<std::string_view> fields = split_fields(line);
  if (fields.size() < 2 || fields[0].front() == '#' || fields[0].front() == ';') return;
  const auto append_all = [&](std::vector<std::string>& list) {
    list.insert(list.end(), fields.begin() + 1, fields.end());
  };
  if (fields[0] == "nameserver") dns.nameservers.emplace_back(fields[1]);
  if (fields[0] == "domain") dns.domain = fields[1];
  if (fields[0] == "search") append_all(dns.search);
  if (fields[0] == "options") append_all(dns.options);
}

}  // namespace

const Range* Config::find_range(std::size_t i, const IpAddress& address) const noexcept {
  if (const Range* range = sets[i].find(address)) return range;
  const auto holds = [&](const RangeSet& set) { return set.find(address) != nullptr; };
  if (!outside_ranges || std::ranges::any_of(sets, holds)) return nullptr;
  return sets[i].find_subnet(address);
}

Config Config::parse(const NetConf& conf, std::string_view args) {
  const JsonRef ipam = conf.root()["ipam"];
  if (!ipam.present()) {
    throw Error(ErrorCode::kInvalidConfig, "IPAM config missing 'ipam' key");
  }
  Config out;
  out.requested = parse_requests(conf, args);
  out.sets = parse_sets(conf, ipam);
  for (const JsonRef& route : ipam["routes"].items()) out.routes.push_back(Route::parse(route));
  out.resolv_conf = ipam["resolvConf"].string_or("");
  out.reclaim = parse_reclaim(ipam["reclaim"]);
  out.outside_ranges = ipam["requestsOutsideRanges"].bool_or(false);
  if (const std::string dir = ipam["dataDir"].string_or(""); !dir.empty()) out.data_dir = dir;
  if (out.data_dir.find('\0') != out.data_dir.npos) ipam["dataDir"].fail("has a zero byte");
  return out;
}

std::string Config::data_dir_of(const NetConf& conf) noexcept {
  try {
    const std::string dir = conf.root()["ipam"]["dataDir"].string_or("");
    if (!dir.empty() && dir.find('\0') == dir.npos) return dir;
  } catch (const std::exception&) {
    // As below.
  }
  // Nothing, no string or no path, or "ipam" is no object. ADD refuses most of that, so leases can
  // only be in the default place.
  return std::string(kDefaultDataDir);
}

Dns parse_resolv_conf(std::string_view text) {
  Dns dns;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    if (line.size() > kMaxLine) {
      throw Error(ErrorCode::kInvalidConfig,
                  concat("resolvConf: a line is longer than ", kMaxLine, " bytes"));
    }
    read_line(dns, line);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return dns;
}

}  // namespace cni::host_local
