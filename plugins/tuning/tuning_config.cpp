// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "tuning_config.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <unordered_map>

#include "base/concat.h"
#include "base/error.h"
#include "host/sysctl.h"

namespace cni::tuning {
namespace {

constexpr const char* kDataDir = "/run/cni/tuning";
constexpr std::int64_t kMaxMtu = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMaxQueueLength = std::numeric_limits<std::uint32_t>::max();

/// args.cni before runtimeConfig before CNI_ARGS before "mac", as the reference has it.
std::optional<Mac> parse_mac(const Request& request) {
  const CniArgs args = CniArgs::parse(request.args, {"MAC"});
  const JsonRef root = request.conf.root();
  std::string text;
  std::string where = "mac";
  const auto prefer = [&](std::string value, std::string_view place) {
    if (value.empty()) return;
    text = std::move(value);
    where = place;
  };
  prefer(root["mac"].string_or(""), "mac");
  prefer(args.get("MAC"), "CNI_ARGS: MAC");
  prefer(request.conf.runtime_config()["mac"].string_or(""), "runtimeConfig.mac");
  prefer(request.conf.args_cni()["mac"].string_or(""), "args.cni.mac");
  if (text.empty()) return std::nullopt;
  return Mac::parse_unicast(text, where);
}

using Sysctls = std::unordered_map<std::string, Sysctl>;  // by entry

/// Those of `object` replace single entries of `out`.
void parse_sysctls(const JsonRef& object, std::string_view ifname, Sysctls& out) {
  Sysctls own;
  for (const auto& [key, value] : object.members()) {
    Sysctl one{key, sysctl::entry_of(key, ifname), value.string()};
    const auto [same, is_new] = own.try_emplace(one.entry, one);
    if (is_new) continue;
    object.fail(concat("duplicated sysctl keys are not allowed: ", quote(same->second.key), " and ",
                       quote(key), " are the same entry"));
  }
  own.merge(out);
  out = std::move(own);
}

std::vector<Sysctl> parse_all_sysctls(const Request& request) {
  if (const auto key = Json::find_repeated_key(request.input, "sysctl")) {
    throw Error(ErrorCode::kInvalidConfig,
                concat("sysctl: duplicated sysctl keys are not allowed: ", quote(*key)));
  }
  // STATUS is about no interface in particular.
  const std::string ifname = request.ifname.empty() ? "lo" : request.ifname;
  Sysctls all;
  parse_sysctls(request.conf.root()["sysctl"], ifname, all);
  parse_sysctls(request.conf.args_cni()["sysctl"], ifname, all);
  std::vector<Sysctl> out;
  for (auto& [entry, one] : all) {
    // Nothing is written of an empty value.
    if (!one.value.empty()) out.push_back(std::move(one));
  }
  std::ranges::sort(out, [](const Sysctl& a, const Sysctl& b) {
    const int left = rank_of(a.entry), right = rank_of(b.entry);
    return left != right ? left < right : a.entry < b.entry;
  });
  return out;
}

std::string parse_data_dir(const JsonRef& json) {
  const std::string dir = json.string_or("");
  if (dir.empty()) return kDataDir;
  if (dir.front() != '/') json.fail(concat("must be an absolute path, got ", quote(dir)));
  return dir;
}

}  // namespace

int rank_of(std::string_view entry) noexcept {
  const auto has = [&](std::string_view part) { return entry.find(part) != entry.npos; };
  if (!has("/conf/") && !has("/neigh/")) return 0;
  return has("/all/") ? 1 : has("/default/") ? 2 : 3;
}

Config Config::parse(const Request& request) {
  const JsonRef root = request.conf.root();
  const JsonRef args = request.conf.args_cni();
  const auto latest = [&](std::string_view key) {
    const JsonRef per_call = args[key];
    return per_call.present() ? per_call : root[key];
  };
  Config out;
  out.sysctls = parse_all_sysctls(request);
  out.mac = parse_mac(request);
  out.promisc = latest("promisc").bool_or(false);
  if (const auto mtu = latest("mtu").int_or(0, 0, kMaxMtu); mtu != 0) {
    out.mtu = static_cast<unsigned>(mtu);
  }
  if (const JsonRef allmulti = latest("allmulti")) out.allmulti = allmulti.bool_or(false);
  if (const auto length = latest("txQLen").integer(0, kMaxQueueLength)) {
    out.tx_queue_len = static_cast<unsigned>(*length);
  }
  out.data_dir = parse_data_dir(root["dataDir"]);
  return out;
}

std::string Config::data_dir_leniently(const Request& request) noexcept {
  try {
    return parse_data_dir(request.conf.root()["dataDir"]);
  } catch (const std::exception&) {
    return kDataDir;
  }
}

}  // namespace cni::tuning
