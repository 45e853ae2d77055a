// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "tables.h"

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/concat.h"
#include "base/error.h"
#include "netlink/route.h"

namespace cni::sbr {
namespace {

using netlink::KernelRoute;
using netlink::KernelRule;
using netlink::Link;
using netlink::Message;
using netlink::SavedRoute;

constexpr std::uint8_t kOwnTable = 163, kGivenTable = 164;  // protocols of what we make
constexpr unsigned kFirstTable = 100, kReserved = 253;      // default, main, local

void send(netlink::Socket& socket, Message message, int tolerated) {
  message.tolerate(tolerated);
  socket.transact(message);
}

/// Or the reference's, which says nothing; ip(8) and daemons do.
bool may_be_ours(const KernelRule& rule) {
  return rule.protocol == kOwnTable || rule.protocol == kGivenTable || rule.protocol == 0;
}

bool is_from(const KernelRule& rule, const IpNet& address) {
  return rule.only_source && rule.source == IpNet::host(address.address);
}

/// The rule of the address that is like ours.
const KernelRule* find_rule(const std::vector<KernelRule>& rules, const Config& conf,
                            const IpNet& address) {
  for (const KernelRule& rule : rules) {
    const bool fits = conf.table ? rule.table == *conf.table : rule.protocol == kOwnTable;
    if (fits && is_from(rule, address)) return &rule;
  }
  return nullptr;
}

class Tables {
 public:
  Tables(netlink::Socket& socket, const std::vector<KernelRule>& rules) {
    for (const KernelRule& rule : rules) used_.insert(rule.table);
    for (const SavedRoute& route : netlink::list_saved_routes(socket, 0)) {
      used_.insert(route.route.table);
    }
  }
  unsigned take_free() {
    unsigned table = kFirstTable;
    while (used_.contains(table) || (table >= kReserved && table <= netlink::kLocalTable)) ++table;
    used_.insert(table);
    return table;
  }

 private:
  std::set<unsigned> used_;
};

/// The routes of the link in main.
std::vector<SavedRoute> main_routes(netlink::Socket& socket, const Link& link) {
  auto out = netlink::list_saved_routes(socket, link.ifindex);
  std::erase_if(out, [](const SavedRoute& route) {
    // Neighbours are found by their link-local addresses in main.
    return route.route.table != netlink::kMainTable || route.route.protocol == kOwnTable ||
           route.route.dst.address.is_link_local();
  });
  return out;
}

bool serves(const KernelRoute& route, const IpNet& address) {
  if (route.dst.family() != address.family()) return false;
  if (!route.source && !route.gateway) return true;
  return (route.source && address.contains(*route.source)) ||
         (route.gateway && address.contains(*route.gateway));
}

KernelRoute default_route(const Served& served, const Link& link) {
  const IpAddress& gateway = *served.source.gateway;
  KernelRoute out{.dst = {gateway.network(0), 0}, .gateway = gateway};
  out.ifindex = link.ifindex;
  out.table = served.table;
  out.protocol = kOwnTable;
  return out;
}

/// Says which source an answer is to have.
KernelRoute hint(const IpNet& address, const Link& link) {
  KernelRoute out{.dst = address.network(), .gateway = {}};
  out.ifindex = link.ifindex;
  out.scope = netlink::kScopeLink;
  out.source = address.address;
  out.protocol = kOwnTable;
  return out;
}

void fill_table(netlink::Socket& socket, const Link& link, const Served& served,
                const std::vector<SavedRoute>& routes) {
  for (const SavedRoute& route : routes) {
    if (!serves(route.route, served.source.address)) continue;
    send(socket, netlink::make_in_table(route.saved, served.table), EEXIST);
  }
  if (!served.source.gateway) return;
  send(socket, netlink::new_route(default_route(served, link), link.name), EEXIST);
}

/// With hints, what is reached directly stays, with the address as its source.
void empty_main(netlink::Socket& socket, const Link& link, const Config& conf,
                const std::vector<Source>& sources, const std::vector<SavedRoute>& routes) {
  for (const SavedRoute& route : routes) {
    // Of several links: it is not only this one's to take away.
    if (netlink::leads_elsewhere(route.saved, link.ifindex)) continue;
    const bool direct = route.route.dst.address.is_v4() && route.route.scope == netlink::kScopeLink;
    if (conf.source_hints && direct) continue;
    send(socket, netlink::delete_route(route.saved), ESRCH);
  }
  if (!conf.source_hints) return;
  for (const Source& source : sources) {
    send(socket, netlink::new_route(hint(source.address, link), link.name), EEXIST);
  }
}

[[noreturn]] void missing(const std::string& what) {
  throw Error(ErrorCode::kMismatch, concat(what, " is missing"));
}

bool has_route(const std::vector<SavedRoute>& all, const KernelRoute& wanted) {
  return std::ranges::any_of(all, [&](const SavedRoute& have) {
    return have.route.dst == wanted.dst && have.route.table == wanted.table &&
           (!wanted.gateway || have.route.gateway == wanted.gateway) &&
           (!wanted.source || have.route.source == wanted.source);
  });
}

void check_table(const std::vector<SavedRoute>& all, const Link& link, const Served& served) {
  KernelRoute direct{.dst = served.source.address.network(), .gateway = {}};
  direct.table = served.table;
  const bool has_network = served.source.address.prefix < served.source.address.address.bits();
  if (has_network && !has_route(all, direct)) missing(concat("route ", netlink::text(direct)));
  if (!served.source.gateway) return;
  const KernelRoute route = default_route(served, link);
  if (!has_route(all, route)) missing(concat("route ", netlink::text(route)));
}

/// Routes of the result that lead over the address's network.
void check_routes(const std::vector<SavedRoute>& all, const Served& served,
                  const std::vector<Route>& wanted) {
  for (const Route& route : wanted) {
    if (!route.gw || !served.source.address.network().contains(*route.gw)) continue;
    KernelRoute moved{.dst = route.dst, .gateway = route.gw};
    moved.table = served.table;
    if (!has_route(all, moved)) missing(concat("route ", netlink::text(moved)));
  }
}

void check_main(const std::vector<SavedRoute>& all, const Link& link, const Config& conf,
                const std::vector<Source>& sources) {
  for (const SavedRoute& route : all) {
    const bool kept = route.route.dst.address.is_link_local() ||
                      netlink::leads_elsewhere(route.saved, link.ifindex) ||
                      route.route.table != netlink::kMainTable ||
                      (conf.source_hints && !route.route.gateway);
    if (kept) continue;
    throw Error(ErrorCode::kMismatch, concat("route ", netlink::text(route.route), " on interface ",
                                             quote(link.name), " is in the main table"));
  }
  if (!conf.source_hints) return;
  for (const Source& source : sources) {
    const KernelRoute wanted = hint(source.address, link);
    if (!has_route(all, wanted)) missing(concat("route ", netlink::text(wanted)));
  }
}

}  // namespace

std::vector<Served> make(netlink::Socket& socket, const Link& link, const Config& conf,
                         const std::vector<Source>& sources) {
  const auto rules = netlink::list_rules(socket);
  Tables tables(socket, rules);
  const auto routes = main_routes(socket, link);
  std::vector<Served> out;
  for (const Source& source : sources) {
    const KernelRule* const rule = find_rule(rules, conf, source.address);
    Served served{source, 0};
    if (rule != nullptr) {
      served.table = rule->table;
    } else {
      served.table = conf.table ? *conf.table : tables.take_free();
      // First: by it the table is found. As long as that is empty it changes nothing.
      send(socket,
           netlink::new_rule({.source = IpNet::host(source.address.address),
                              .table = served.table,
                              .priority = {},
                              .protocol = conf.table ? kGivenTable : kOwnTable}),
           EEXIST);
    }
    if (!conf.table) fill_table(socket, link, served, routes);
    out.push_back(served);
  }
  if (!conf.table) empty_main(socket, link, conf, sources, routes);
  return out;
}

void remove(netlink::Socket& socket, const Link* link, const std::vector<IpNet>& addresses) {
  const auto rules = netlink::list_rules(socket);
  std::vector<SavedRoute> routes;
  if (link != nullptr) routes = netlink::list_saved_routes(socket, link->ifindex);
  std::set<unsigned> filled;
  for (const SavedRoute& route : netlink::list_saved_routes(socket, 0)) {
    filled.insert(route.route.table);
  }
  for (const KernelRule& rule : rules) {
    const bool wanted = may_be_ours(rule) && std::ranges::any_of(addresses, [&](const IpNet& a) {
                          return is_from(rule, a);
                        });
    const bool dead = rule.protocol == kOwnTable && !filled.contains(rule.table);
    if (!wanted && !dead) continue;
    for (const SavedRoute& route : routes) {
      if (rule.protocol != kOwnTable || route.route.table != rule.table) continue;
      const bool moved = route.route.protocol != kOwnTable;
      if (moved) send(socket, netlink::make_in_table(route.saved, netlink::kMainTable), EEXIST);
    }
    for (const SavedRoute& route : routes) {
      if (rule.protocol != kOwnTable || route.route.table != rule.table) continue;
      send(socket, netlink::delete_route(route.saved), ESRCH);
    }
    send(socket, netlink::delete_rule(rule), ENOENT);
  }
  for (const SavedRoute& route : routes) {
    const bool is_hint =
        route.route.table == netlink::kMainTable && route.route.protocol == kOwnTable;
    if (is_hint) send(socket, netlink::delete_route(route.saved), ESRCH);
  }
}

void check(netlink::Socket& socket, const Link& link, const Config& conf,
           const std::vector<Source>& sources, const std::vector<Route>& wanted) {
  const auto rules = netlink::list_rules(socket);
  const auto routes = netlink::list_saved_routes(socket, link.ifindex);
  for (const Source& source : sources) {
    const KernelRule* rule = find_rule(rules, conf, source.address);
    if (rule == nullptr) missing(concat("rule from ", source.address.address.text()));
    if (conf.table) continue;
    check_table(routes, link, {source, rule->table});
    check_routes(routes, {source, rule->table}, wanted);
  }
  if (!conf.table) check_main(routes, link, conf, sources);
}

}  // namespace cni::sbr
