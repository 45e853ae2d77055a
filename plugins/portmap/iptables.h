// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "holders.h"
#include "host/host.h"
#include "masquerade/iptables.h"
#include "model/ip.h"
#include "model/port_mapping.h"

/// Published ports with iptables, in the chains, with the comments and in the order of the
/// reference implementation, so that either can remove what the other made, and that programs which
/// read these chains go on to understand them. One `iptables-save` and one `iptables-restore
/// --noflush -w` a family. Acts in the calling thread's namespace, which is the host's.
///
/// The chains do not know interface names: a container that is on a network twice has one.
namespace cni::portmap::iptables {

using masquerade::iptables::Target;

struct Options {
  bool snat = true;
  bool masq_all = false;
  unsigned mark_bit = 13;
  std::string external_set_mark_chain;                    // empty: our own
  std::vector<std::string> conditions_v4, conditions_v6;  // words of an iptables rule
};

/// One address of each family at most, each with its prefix.
struct Ports {
  std::vector<IpNet> addresses;
  std::vector<PortMapping> mappings;
  Options options;
};

/// Says what a container that has rules is to the one that publishes.
using Judge = std::function<Holder(const Target& other)>;

/// Idempotent; replaces what the container had. The rules of the dead go; of several that lead a
/// port to its networks the container's oldest counts, and a pod that it replaces comes behind it.
/// Throws Error{kConflict} naming any other owner of a port that leads to another address,
/// Error{kNotAvailable} when the programs are missing. `changed` tells, also after a throw, whether
/// anything may have been: what the caller has to undo.
void add(const Target& target, const Ports& ports, const Judge& judge, bool& changed);
/// For a container whose ports are published by other means, which these rules would come before:
/// removes those of the dead and of a pod that it replaces; throws as `add` does. Runs nothing
/// where no container has ports with iptables.
void make_way(Host& host, const Target& target, const Ports& ports, const Judge& judge);
/// Of both families; returns the addresses that ports led to. Runs nothing when the kernel has no
/// such chain.
std::vector<IpAddress> remove(Host& host, const Target& target);
/// Throws Error{kMismatch}.
void check(const Target& target, const Ports& ports);
/// Removes what the network's containers have for which keep(id) is false; returns the addresses.
std::vector<IpAddress> collect(Host& host, std::string_view network,
                               const std::function<bool(std::string_view container_id)>& keep);
/// False is certain.
[[nodiscard]] bool may_exist(Host& host, const Target& target);

}  // namespace cni::portmap::iptables
