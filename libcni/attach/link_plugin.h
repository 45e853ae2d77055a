// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attach/inner_link.h"
#include "attach/lower_link.h"
#include "model/result.h"
#include "netlink/link.h"
#include "protocol/plugin.h"
#include "protocol/request.h"

/// The verbs of plugins that make one link in the container. A plugin says what differs in a Spec.
namespace cni::link_plugin {

/// The keys that all of them share.
struct Keys {
  unsigned mtu = 0;  // bytes, 0: the kernel's default
  bool takes_mac = false;
  std::optional<Mac> mac;
  std::vector<lower_link::Choice> lowers;  // "master"; empty: none was named
  bool lower_in_container = false;
  bool enable_dad = false;
  bool no_ipv6 = false;  // "ipv6": "disabled"
  bool has_ipam = false;
  std::optional<Dns> dns;  // replaces the IPAM plugin's as a whole
};

/// How a plugin reads them.
struct KeyRules {
  bool mac = false;   // `mac`, `args.cni.mac`, `runtimeConfig.mac` and MAC of CNI_ARGS
  bool args = false;  // CNI_ARGS with other keys are refused
};
/// Throws Error{kInvalidConfig}, kInvalidEnvironment for CNI_ARGS.
[[nodiscard]] Keys parse_keys(const Request& request, const KeyRules& rules);

/// What the link stands on.
enum class Lower : unsigned char {
  kNone,
  kNamed,         // `master`, which must be given
  kDefaultRoute,  // `master`, else the link of the default route
};
/// Where its addresses come from.
enum class Addresses : unsigned char {
  kIpam,        // if there is `ipam`; else it has none
  kPrevResult,  // without `ipam`: from the plugins before, whose interfaces stay in the result
};

/// One link, as the configuration wants it.
struct Spec {
  std::string kind;  // the kernel's word, which is the module's name, too
  Keys keys;
  Lower lower = Lower::kNone;
  Addresses addresses = Addresses::kIpam;
  bool lower_must_be_up = false;  // or the link cannot be set up
  /// Writes what is the kind's own into the request that makes the link.
  std::function<void(netlink::Message& data)> fill = {};
  /// Instead of such a request: makes the link of this name, inside the sandbox.
  std::function<void(const std::string& name)> create = {};
  /// Compares what the kernel tells about the kind's own with what is wanted. Throws
  /// Error{kMismatch}.
  std::function<void(const netlink::Link& link, const netlink::Attributes& data)> check = {};
  /// Throws Error when no further link of this configuration can be made on the lower one, naming
  /// who is in the way.
  std::function<void(netlink::Socket& lower_socket, const netlink::Link& lower)> require_room = {};
  /// The same for what only the sandbox tells.
  std::function<void(netlink::Socket& sandbox, const netlink::Link& link)> check_inside = {};
  /// After the link is labelled, before it has addresses and is up. In the sandbox's namespace.
  std::function<void(netlink::Socket& socket, const netlink::Link& link)> finish = {};
};

[[nodiscard]] Result add(const Request& request, const Spec& spec);
void check(const Request& request, const Spec& spec);
/// `kinds` are those that the plugin's links can have.
void del(const Request& request, std::string_view plugin, std::vector<std::string> kinds);
void gc(const Request& request, const OwnerSet& valid, std::string_view plugin,
        std::vector<std::string> kinds);
void status(const Request& request, const Spec& spec);
/// Makes the link of a live attachment again if it is missing: it went with the one it stood on.
void restore(const Request& request, const Spec& spec);

/// The table of a plugin whose name is its links' kind. `parse` reads the configuration; it throws
/// Error{kInvalidConfig}.
template <Spec (*parse)(const Request&), const char* name>
inline constexpr Plugin kPlugin{
    .name = name,
    .add = [](const Request& request) { return add(request, parse(request)); },
    .check = [](const Request& request) { check(request, parse(request)); },
    .del = [](const Request& request) { del(request, name, {name}); },
    .gc = [](const Request& request, const OwnerSet& valid) { gc(request, valid, name, {name}); },
    .status = [](const Request& request) { status(request, parse(request)); },
    .has_rules = [](const Request&) { return true; },
    .restore = [](const Request& request) { restore(request, parse(request)); }};

}  // namespace cni::link_plugin
