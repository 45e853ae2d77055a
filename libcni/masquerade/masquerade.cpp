// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "masquerade/masquerade.h"

#include <algorithm>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "host/xtables.h"
#include "masquerade/first_layout.h"
#include "masquerade/iptables.h"
#include "masquerade/nftables.h"
#include "masquerade/reference.h"
#include "netlink/link.h"

namespace cni::masquerade {

using nftables::Wanted;

/// One way to do it.
struct Backend {
  std::string_view name;
  void (*add)(Host& host, const Request& request, const Wanted& wanted);
  void (*check)(Host& host, const Request& request, const Wanted& wanted);
  void (*probe)(Host& host);
};

namespace {

iptables::Target target_of(const Request& request) {
  return {request.conf.name, request.container_id};
}

/// Every attachment that asks for masquerading has a veth on the host, labelled with its owner, and
/// that goes with the container's namespace.
bool lives(Host& host, std::string_view tag) {
  const std::vector<netlink::Link> links = netlink::list_links(host.route());
  return std::ranges::any_of(
      links, [&](const netlink::Link& link) { return Owner::tag_of(link.alias) == tag; });
}

/// By nf_tables, with whatever made it.
void check_nftables(Host& host, const Request& request, const Wanted& wanted) {
  const Owner owner = request.owner();
  try {
    nftables::check(host.nft(), owner, wanted);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kMismatch) throw;
    // Made before an upgrade?
    if (wanted.exclude.empty() && first_layout::holds(host.nft(), owner, wanted.addresses)) return;
    if (reference::count(host.nft(), owner) >= wanted.addresses.size()) return;
    if (!iptables::may_exist(host, target_of(request))) throw;
    iptables::check(target_of(request), wanted.addresses, wanted.exclude);
  }
}

constexpr Backend kBackends[] = {
    {.name = "nftables",
     .add =
         [](Host& host, const Request& request, const Wanted& wanted) {
           nftables::add(host.nft(), request.owner(), wanted,
                         [&](std::string_view tag) { return lives(host, tag); });
         },
     .check = check_nftables,
     .probe = [](Host& host) { nftables::probe(host.nft()); }},
    {.name = "iptables",
     .add =
         [](Host&, const Request& request, const Wanted& wanted) {
           iptables::add(target_of(request), wanted.addresses, wanted.exclude);
         },
     .check =
         [](Host&, const Request& request, const Wanted& wanted) {
           iptables::check(target_of(request), wanted.addresses, wanted.exclude);
         },
     .probe = [](Host&) { xtables::require_available(); }},
};

const Backend& parse_backend(const JsonRef& json) {
  const std::string name = json.string_or("");
  if (name.empty()) return kBackends[0];
  for (const Backend& backend : kBackends) {
    if (backend.name == name) return backend;
  }
  json.fail(concat("unknown ipmasq backend ", quote(name)));
}

std::vector<IpNet> parse_exclude(const JsonRef& json) {
  std::vector<IpNet> out;
  for (const JsonRef& item : json.items()) {
    const auto net = IpNet::try_parse(item.string());
    if (!net) item.fail(concat("not a CIDR: ", quote(item.string())));
    out.push_back(net->network());
  }
  return out;
}

Wanted wanted_of(const Settings& settings, const std::vector<IpNet>& addresses) {
  Wanted out{{}, settings.exclude};
  std::ranges::copy_if(addresses, std::back_inserter(out.addresses), [&](const IpNet& net) {
    return net.address.is_v4() ? settings.v4 : settings.v6;
  });
  return out;
}

}  // namespace

Settings Settings::parse(const JsonRef& conf) {
  Settings out;
  const JsonRef families = conf["ipMasq"];
  if (families.is_string()) {
    const std::string name = families.string();
    out.v4 = name == "ipv4";
    out.v6 = name == "ipv6";
    if (!out.any()) {
      families.fail(concat("expected true, false, \"ipv4\" or \"ipv6\", got ", quote(name)));
    }
  } else {
    out.v4 = out.v6 = families.bool_or(false);
  }
  out.backend = &parse_backend(conf["ipMasqBackend"]);
  out.exclude = parse_exclude(conf["ipMasqExclude"]);
  return out;
}

bool is_wanted(const JsonRef& conf) {
  return conf["ipMasq"].is_string() || conf["ipMasq"].bool_or(false);
}

void add(Host& host, const Request& request, const Settings& settings,
         const std::vector<IpNet>& addresses) {
  const log::Step timed("masquerade");
  settings.backend->add(host, request, wanted_of(settings, addresses));
}

void add(Host& host, const Request& request, const Settings& settings,
         const std::vector<IpNet>& addresses, Rollback& rollback) {
  std::vector<IpAddress> plain;
  for (const IpNet& net : addresses) plain.push_back(net.address);
  rollback.on_failure("remove masquerading",
                      [&host, &request, plain] { remove(host, request, plain); });
  add(host, request, settings, addresses);
}

void remove(Host& host, const Request& request, const std::vector<IpAddress>& likely) {
  const Owner owner = request.owner();
  ErrorList errors;
  if (host.has_nft()) {
    errors.attempt("remove masquerading", [&] { nftables::remove(host.nft(), owner); });
    errors.attempt("remove masquerading of the first layout",
                   [&] { first_layout::remove(host.nft(), owner); });
    errors.attempt("remove the reference's nftables rules", [&] {
      reference::remove(host.nft(), [&](std::string_view tag) { return tag == owner.tag(); });
    });
  }
  errors.attempt("remove iptables rules",
                 [&] { iptables::remove(host, target_of(request), likely); });
  errors.throw_if_any();
}

void check(Host& host, const Request& request, const Settings& settings,
           const std::vector<IpNet>& addresses) {
  settings.backend->check(host, request, wanted_of(settings, addresses));
}

void collect(Host& host, std::string_view network, const OwnerSet& valid) {
  const auto keep = [&](std::string_view tag) { return valid.contains(tag); };
  ErrorList errors;
  if (host.has_nft()) {
    errors.attempt("collect masquerading", [&] { nftables::collect(host.nft(), network, keep); });
    errors.attempt("collect masquerading of the first layout",
                   [&] { first_layout::collect(host.nft(), network, keep); });
    errors.attempt("collect the reference's nftables rules", [&] {
      const std::string prefix = Owner::network_tag(network);
      reference::remove(
          host.nft(), [&](std::string_view tag) { return tag.starts_with(prefix) && !keep(tag); });
    });
  }
  errors.attempt("collect iptables rules", [&] {
    iptables::collect(host, network,
                      [&](std::string_view id) { return valid.contains_container(id); });
  });
  errors.throw_if_any();
}

void probe(Host& host, const Settings& settings) { settings.backend->probe(host); }

}  // namespace cni::masquerade
