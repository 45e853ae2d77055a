// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "settings.h"

#include <linux/if.h>

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "host/sysctl.h"

namespace cni::tuning {
namespace {

using netlink::Link;
using netlink::LinkChange;
using netlink::Message;

/// One request for each attribute: the error then says which one it was.
std::vector<Message> link_requests(const Settings& wanted, const Link& link) {
  std::vector<Message> out;
  const auto request = [&](std::string_view what, const LinkChange& change) {
    out.push_back(netlink::change_link(link.ifindex, link.name, change, what));
  };
  // The MTU first: too small a one takes IPv6 from the link, and with it sysctls.
  if (wanted.mtu) request(concat("set MTU ", *wanted.mtu, " of"), {.mtu = wanted.mtu});
  if (wanted.mac) request(concat("set MAC ", wanted.mac->text(), " of"), {.mac = wanted.mac});
  if (wanted.promisc) request("set promiscuous mode of", {.promiscuous = wanted.promisc});
  if (wanted.allmulti) request("set allmulti of", {.all_multicast = wanted.allmulti});
  if (wanted.tx_queue_len) {
    request(concat("set txQLen ", *wanted.tx_queue_len, " of"),
            {.tx_queue_len = wanted.tx_queue_len});
  }
  return out;
}

void send(Sandbox& sandbox, std::vector<Message>& requests) {
  std::vector<Message*> pointers;
  for (Message& request : requests) pointers.push_back(&request);
  if (!pointers.empty()) sandbox.route().transact(pointers);
}

/// nullopt: it can only be written.
std::optional<std::string> readable_value(const Sysctl& sysctl, bool& exists) {
  try {
    auto value = sysctl::read(sysctl.entry);
    exists = value.has_value();
    return value;
  } catch (const KernelError& error) {
    exists = !error.is(std::errc::is_a_directory);
    if (!exists) return std::nullopt;
    if (error.is(std::errc::permission_denied)) return std::nullopt;
    throw;
  }
}

void require_settable(const Sysctl& sysctl, bool exists, const std::optional<std::string>& now) {
  if (!exists) {
    throw Error(
        ErrorCode::kInvalidConfig,
        concat("sysctl ", quote(sysctl.key), ": the container has no entry ", quote(sysctl.entry)));
  }
  const bool right = now && sysctl::same_value(*now, sysctl.value);
  if (right || sysctl::is_writable(sysctl.entry)) return;
  throw Error(ErrorCode::kInvalidConfig,
              concat("sysctl ", quote(sysctl.key), " cannot be set in a container"),
              "the kernel keeps one value for all namespaces, or only shows it");
}

/// There may be very many.
void heed_deadline(std::string_view what) {
  if (Deadline::passed()) Deadline::expired(what);
}

[[noreturn]] void differs(const std::string& what, std::string_view wanted, std::string_view now) {
  throw Error(ErrorCode::kMismatch,
              concat(what, " is ", quote(now), " instead of ", quote(wanted)));
}

std::string_view on_or_off(bool on) { return on ? "on" : "off"; }

void check_link(Sandbox& sandbox, const Config& conf, const std::string& ifname) {
  const auto link = netlink::find_link(sandbox.route(), ifname);
  if (!link) {
    throw Error(ErrorCode::kMismatch,
                concat("interface ", quote(ifname), " is missing in the container"));
  }
  const auto what = [&](std::string_view attribute) {
    return concat("interface ", quote(ifname), " in the container: ", attribute);
  };
  if (conf.mac && link->mac != *conf.mac) differs(what("mac"), conf.mac->text(), link->mac.text());
  if (conf.mtu && link->mtu != *conf.mtu) {
    differs(what("mtu"), std::to_string(*conf.mtu), std::to_string(link->mtu));
  }
  const bool promisc = (link->flags & IFF_PROMISC) != 0;
  if (conf.promisc && !promisc) differs(what("promisc"), "on", "off");
  const bool allmulti = (link->flags & IFF_ALLMULTI) != 0;
  if (conf.allmulti && allmulti != *conf.allmulti) {
    differs(what("allmulti"), on_or_off(*conf.allmulti), on_or_off(allmulti));
  }
  if (conf.tx_queue_len && link->tx_queue_len != *conf.tx_queue_len) {
    differs(what("txQLen"), std::to_string(*conf.tx_queue_len), std::to_string(link->tx_queue_len));
  }
}

}  // namespace

void Settings::add_missing(const Settings& other) {
  if (!mac) mac = other.mac;
  if (!mtu) mtu = other.mtu;
  if (!promisc) promisc = other.promisc;
  if (!allmulti) allmulti = other.allmulti;
  if (!tx_queue_len) tx_queue_len = other.tx_queue_len;
  std::unordered_set<std::string> known;
  for (const Value& value : sysctls) known.insert(value.entry);
  for (const Value& value : other.sysctls) {
    if (!known.contains(value.entry)) sysctls.push_back(value);
  }
}

Settings current_settings(Sandbox& sandbox, const Config& conf, const Link* link) {
  Settings out;
  if (link != nullptr) {
    if (conf.mac) out.mac = link->mac;
    if (conf.mtu) out.mtu = link->mtu;
    if (conf.promisc) out.promisc = (link->flags & IFF_PROMISC) != 0;
    if (conf.allmulti) out.allmulti = (link->flags & IFF_ALLMULTI) != 0;
    if (conf.tx_queue_len) out.tx_queue_len = link->tx_queue_len;
  }
  if (conf.sysctls.empty()) return out;
  sandbox.run([&] {
    for (const Sysctl& sysctl : conf.sysctls) {
      heed_deadline("read sysctls");
      bool exists = false;
      auto value = readable_value(sysctl, exists);
      require_settable(sysctl, exists, value);
      if (value) out.sysctls.push_back({sysctl.entry, *std::move(value)});
    }
  });
  return out;
}

void write_sysctls(Sandbox& sandbox, const Config& conf) {
  if (conf.sysctls.empty()) return;
  sandbox.run([&] {
    for (const Sysctl& sysctl : conf.sysctls) {
      heed_deadline("write sysctls");
      bool exists = false;
      const auto now = readable_value(sysctl, exists);
      if (!now || !sysctl::same_value(*now, sysctl.value)) {
        sysctl::assign(sysctl.entry, sysctl.value);
      }
    }
  });
}

void change_link(Sandbox& sandbox, const Config& conf, const Link& link) {
  Settings wanted;
  wanted.mac = conf.mac;
  wanted.mtu = conf.mtu;
  if (conf.promisc) wanted.promisc = true;
  wanted.allmulti = conf.allmulti;
  wanted.tx_queue_len = conf.tx_queue_len;
  auto requests = link_requests(wanted, link);
  send(sandbox, requests);
}

void restore_sysctls(Sandbox& sandbox, const Settings& settings) {
  if (settings.sysctls.empty()) return;
  // In the order of writing, not backwards: what sets many entries at once must come before those.
  auto values = settings.sysctls;
  std::ranges::stable_sort(values, {}, [](const auto& value) { return rank_of(value.entry); });
  ErrorList errors;
  sandbox.run([&] {
    for (const auto& [entry, value] : values) {
      errors.attempt(concat("restore sysctl ", entry), [&, &e = entry, &v = value] {
        const auto now = sysctl::read(e);
        if (now && *now != v) sysctl::assign(e, v);
      });
    }
  });
  errors.throw_if_any();
}

void restore_link(Sandbox& sandbox, const Settings& settings, const Link& link) {
  auto requests = link_requests(settings, link);
  send(sandbox, requests);
}

void check_settings(Sandbox& sandbox, const Config& conf, const std::string& ifname) {
  if (conf.changes_link()) check_link(sandbox, conf, ifname);
  if (conf.sysctls.empty()) return;
  sandbox.run([&] {
    for (const Sysctl& sysctl : conf.sysctls) {
      heed_deadline("compare sysctls");
      bool exists = false;
      const auto now = readable_value(sysctl, exists);
      if (!exists) {
        throw Error(ErrorCode::kMismatch,
                    concat("sysctl ", quote(sysctl.key), " does not exist in the container"));
      }
      if (now && !sysctl::same_value(*now, sysctl.value)) {
        differs(concat("sysctl ", quote(sysctl.key)), sysctl.value, *now);
      }
    }
  });
}

}  // namespace cni::tuning
