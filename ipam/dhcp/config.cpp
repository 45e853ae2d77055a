// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "config.h"

#include <algorithm>
#include <charconv>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "protocol/request.h"

namespace cni::dhcp {
namespace {

constexpr std::size_t kMaxValue = 255, kMaxKey = 254;
constexpr std::int64_t kMaxPriority = 0xffffffff;
// Classless routes first: servers fill what has room in this order (RFC 3442).
constexpr std::uint8_t kUsual[] = {
    option::kClasslessRoutes, option::kSubnetMask, option::kRouter,       option::kStaticRoutes,
    option::kDnsServers,      option::kDomainName, option::kDomainSearch, option::kMtu};
constexpr std::uint8_t kTypeDuid = 255, kDuidUuid = 4, kTypeEthernet = 1;
constexpr std::size_t kUuidSize = 16, kIaidSize = 4;

/// A name of the reference's, or a number.
std::uint8_t parse_option(const JsonRef& json) {
  struct Name {
    std::string_view text;
    std::uint8_t code;
  };
  constexpr Name kNames[] = {
      {"dhcp-client-identifier", option::kClientId},
      {"subnet-mask", option::kSubnetMask},
      {"routers", option::kRouter},
      {"host-name", option::kHostName},
      {"user-class", option::kUserClass},
      {"vendor-class-identifier", option::kVendorClass},
  };
  const std::string text = json.string();
  for (const Name& name : kNames) {
    if (name.text == text) return name.code;
  }
  std::uint8_t code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  if (error != std::errc() || end != text.data() + text.size()) {
    json.fail(
        concat("can not parse option ", quote(text), ": no name and no number from 0 to 255"));
  }
  return code;
}

Bytes parse_request(const JsonRef& list) {
  Bytes out;
  const auto append = [&](std::uint8_t code) {
    if (std::ranges::find(out, code) == out.end()) out.push_back(code);
  };
  bool skip_default = false;
  for (const JsonRef& item : list.items()) {
    skip_default = skip_default || item["skipDefault"].bool_or(false);
    if (!item["option"].string_or("").empty()) append(parse_option(item["option"]));
  }
  if (!skip_default) std::ranges::for_each(kUsual, append);
  return out;
}

/// What the client itself decides.
bool is_ours(std::uint8_t code) {
  return code == option::kPad || code == option::kEnd || code == option::kRequestedAddress ||
         code == option::kOverload || code == option::kMessageType || code == option::kServerId ||
         code == option::kParameterList;
}

Options parse_provided(const JsonRef& list, const CniArgs& args) {
  Options out;
  for (const JsonRef& item : list.items()) {
    const std::uint8_t code = parse_option(item["option"]);
    if (is_ours(code)) item["option"].fail("this option is the client's own");
    const auto put = [&](std::string_view value, const JsonRef& place) {
      if (value.empty()) return;
      if (value.size() > kMaxValue) place.fail(concat("value too long for option ", code));
      out[code] = Bytes(value.begin(), value.end());
    };
    put(item["value"].string_or(""), item["value"]);
    put(args.get(item["fromArg"].string_or("")), item["fromArg"]);
  }
  return out;
}

Probing parse_probing(const JsonRef& json) {
  const std::string text = json.string_or("off");
  if (text == "off") return Probing::kOff;
  if (text == "fast") return Probing::kFast;
  if (text == "full") return Probing::kFull;
  json.fail(concat("must be off, fast or full, got ", quote(text)));
}

Config::ClientId parse_client_id(const JsonRef& json) {
  const std::string text = json.string_or("legacy");
  if (text == "legacy") return Config::ClientId::kLegacy;
  if (text == "duid") return Config::ClientId::kDuid;
  if (text == "mac") return Config::ClientId::kMac;
  json.fail(concat("must be legacy, duid or mac, got ", quote(text)));
}

/// As many bytes of the hash as wanted.
Bytes hash_bytes(std::string_view text, std::size_t size) {
  const std::string digits = sha512_hex(text, size * 2);
  Bytes out(size);
  for (std::size_t i = 0; i < size; ++i) {
    std::from_chars(&digits[2 * i], &digits[2 * i] + 2, out[i], 16);
  }
  return out;
}

void append_host_name(const NetConf& conf, const CniArgs& args, Options& provided) {
  const JsonRef json = conf.root()["ipam"]["hostName"];
  const std::string text = json.string_or("none");
  if (text == "none") return;
  if (text != "name" && text != "fqdn") {
    json.fail(concat("must be none, name or fqdn, got ", quote(text)));
  }
  const std::string name = args.get("K8S_POD_NAME");
  if (name.empty() || name.size() > kMaxValue - 3) return;
  if (text == "name") {
    provided.try_emplace(option::kHostName, name.begin(), name.end());
    return;
  }
  // Flags: the server updates DNS; the name is plain text (RFC 4702).
  Bytes fqdn{1, 0, 0};
  fqdn.insert(fqdn.end(), name.begin(), name.end());
  provided.try_emplace(option::kClientFqdn, std::move(fqdn));
}

}  // namespace

std::string socket_path(const NetConf& conf) {
  const JsonRef json = conf.root()["ipam"]["daemonSocketPath"];
  std::string path = json.string_or("");
  if (path.empty()) return std::string(kDefaultSocket);
  if (path[0] != '/') json.fail(concat("must be an absolute path, got ", quote(path)));
  return path;
}

Config Config::parse(const NetConf& conf, const rpc::Call& call) {
  const JsonRef ipam = conf.root()["ipam"];
  if (!ipam.present()) {
    throw Error(ErrorCode::kInvalidConfig, "IPAM config missing 'ipam' key");
  }
  const CniArgs args = CniArgs::parse_leniently(call.args);
  Config out;
  out.network = conf.name;
  out.key = concat(call.container_id, "/", conf.name, "/", call.ifname).substr(0, kMaxKey);
  out.priority = static_cast<unsigned>(ipam["priority"].int_or(0, 0, kMaxPriority));
  out.has_broadcast = ipam["broadcast"].present();
  out.broadcast = ipam["broadcast"].bool_or(false);
  out.probing = parse_probing(ipam["probe"]);
  out.client_id = parse_client_id(ipam["clientId"]);
  out.parameters = parse_request(ipam["request"]);
  out.provided = parse_provided(ipam["provide"], args);
  append_host_name(conf, args, out.provided);
  return out;
}

Bytes Config::make_client_id(const Mac& mac, std::string_view machine_id) const {
  const auto given = provided.find(option::kClientId);
  if (given != provided.end()) return given->second;
  Bytes out;
  switch (client_id) {
    case ClientId::kLegacy:
      out.push_back(0);
      out.insert(out.end(), key.begin(), key.end());
      break;
    case ClientId::kMac:
      out.push_back(kTypeEthernet);
      out.insert(out.end(), mac.bytes.begin(), mac.bytes.end());
      break;
    case ClientId::kDuid: {
      // RFC 4361: the interface, and the machine by its UUID. Hashed: the id itself is private.
      out.push_back(kTypeDuid);
      const Bytes iaid = hash_bytes(key, kIaidSize);
      out.insert(out.end(), iaid.begin(), iaid.end());
      out.push_back(0);
      out.push_back(kDuidUuid);
      const Bytes uuid = hash_bytes(concat("cnipp dhcp ", machine_id), kUuidSize);
      out.insert(out.end(), uuid.begin(), uuid.end());
      break;
    }
  }
  return out;
}

NetConf parse_conf(const rpc::Call& call) {
  Request request;
  request.command = Command::kDel;
  parse_input(request, call.config);
  return std::move(request.conf);
}

}  // namespace cni::dhcp
