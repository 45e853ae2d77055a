// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// For libFuzzer: texts that come from outside, read by parsers that know no file and no kernel. The
// first byte says which. Each answers or throws Error, and reads what it wrote itself.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "model/config.h"
#include "model/ip.h"
#include "model/json.h"
#include "model/result.h"
#include "model/version.h"
#include "protocol/request.h"
#include "runtime/base64.h"
#include "runtime/network.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void result(std::string_view text) {
  const cni::Json json = cni::Json::parse(text);
  const cni::Result result = cni::parse_result(json.root(), cni::SpecVersion::k110);
  const cni::Json again = cni::to_json(result, cni::SpecVersion::k110);
  require(cni::parse_result(again.root(), cni::SpecVersion::k110) == result);
  static_cast<void>(cni::to_json(result, cni::SpecVersion::k020));
}

void args(std::string_view text) {
  static_cast<void>(cni::CniArgs::parse_leniently(text).get("IP"));
  static_cast<void>(cni::CniArgs::parse(text, {"IP", "GATEWAY", "MAC", "IgnoreUnknown"}));
}

void list(std::string_view text) {
  const cni::Network network = cni::parse_network_list(text);
  static_cast<void>(network.version_at_least("0.4.0"));
  for (const cni::Json& plugin : network.plugins) {
    static_cast<void>(cni::describe_plugin(plugin));
    static_cast<void>(cni::parse_plugin(plugin.dump()));
  }
  require(cni::parse_network_list(network.source).name == network.name);
}

void input(std::string_view text) {
  cni::Request request;
  request.command = cni::Command::kGc;
  cni::parse_input(request, std::string(text));
  static_cast<void>(request.conf.prev_result_if_usable());
  static_cast<void>(request.conf.valid_attachments());
  static_cast<void>(request.conf.prev_result());
}

void addresses(std::string_view text) {
  static_cast<void>(cni::decode_base64(text));
  static_cast<void>(cni::interface_name_problem(text));
  try {
    static_cast<void>(cni::parse_version(text));
  } catch (const cni::Error&) {  // the others are to be tried, too
  }
  try {
    static_cast<void>(cni::Mac::parse_unicast(text, "mac"));
  } catch (const cni::Error&) {
  }
  const cni::IpNet net = cni::IpNet::parse(text);
  require(cni::IpNet::parse(net.text()) == net);
}

constexpr void (*kParsers[])(std::string_view) = {result, args, list, input, addresses};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    kParsers[data[0] % std::size(kParsers)](text);
  } catch (const cni::Error&) {  // the answer to what is wrong
  }
  return 0;
}
