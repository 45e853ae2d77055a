// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "sweep/ground.h"

#include "base/concat.h"
#include "base/error.h"

namespace cni::test {

Ground::Ground(std::string_view more, Bridge bridge, const std::string& plugin) {
  const std::string conf = plugin_conf(plugin, concat(more, more.empty() ? "" : ",", kDualStack));
  attachment_ = {.conf = conf, .netns = sandbox_.path(), .plugin = plugin};
  host_.enable_forwarding();
  host_.net().set_sysctl("net/ipv6/conf/default/accept_dad", "0");
  if (bridge == Bridge::kInUse) {
    valid_ = {"c0"};
    Attachment{.conf = conf, .netns = neighbour_.path(), .id = "c0", .plugin = plugin}.add();
  }
  // What a first ADD leaves for good: directories, lock files.
  const Json result = attachment_.add();
  const std::size_t host_end = plugin == "bridge" ? 1 : 0;
  veth_ = result.root()["interfaces"].items().at(host_end)["name"].string();
  leases_with_ = leases_of().size();
  attachment_.del();
  if (!caller("GC").run("GC").ok()) throw Error(ErrorCode::kInternal, "GC fails");
  wait_for_addresses();
  host_before_ = snapshot_host().without_hints();
  container_before_ = snapshot_network(sandbox_.net());
}

Attachment Ground::caller(std::string_view verb) const {
  return verb == "GC" ? attachment_.collecting(valid_) : attachment_;
}

Victim Ground::victim(const std::string& verb) const { return {host_, caller(verb), verb}; }

Victim Ground::ipam_victim(const std::string& verb) const {
  return Victim::ipam_of(host_, caller(verb), verb);
}

void Ground::prepare(std::string_view verb) const {
  if (verb != "ADD") attachment_.add();
}

std::string Ground::leftovers() const {
  std::string problem;
  for (const std::string& process : processes_here()) problem += concat("process ", process, "\n");
  if (problem.empty()) problem = difference(host_before_, snapshot_host().without_hints());
  if (problem.empty()) problem = difference(container_before_, snapshot_network(sandbox_.net()));
  return problem;
}

std::string Ground::clean_up(const std::vector<std::string>& verbs) const {
  std::string problem;
  for (const std::string& verb : verbs) problem += failure(verb, caller(verb).run(verb));
  return problem + leftovers();
}

std::string Ground::early_release(std::string_view verb) const {
  if (verb == "ADD" || !has_link(veth_) || leases_of().size() >= leases_with_) return {};
  return concat("an address was released while ", veth_, " is there\n");
}

}  // namespace cni::test
