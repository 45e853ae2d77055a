// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "holders.h"

#include <algorithm>

#include "attach/veth.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "netlink/link.h"

namespace cni::portmap {
namespace {

using record::Record;

/// The value of a key of CNI_ARGS, "" without.
std::string_view argument(std::string_view args, std::string_view key) {
  while (!args.empty()) {
    const std::string_view pair = args.substr(0, args.find(';'));
    args.remove_prefix(std::min(args.size(), pair.size() + 1));
    const auto equals = pair.find('=');
    if (pair.substr(0, equals) == key && equals != pair.npos) return pair.substr(equals + 1);
  }
  return {};
}

/// kubelet's name of the pod; "" when it is none of Kubernetes'.
std::string pod_of(std::string_view args) {
  const std::string_view space = argument(args, "K8S_POD_NAMESPACE");
  const std::string_view name = argument(args, "K8S_POD_NAME");
  return space.empty() || name.empty() ? std::string{} : concat(space, "/", name);
}

/// The host's end of its veth pair, which ends with the container's namespace. A path that is gone
/// is not enough: that of a process may be gone before its namespace.
bool has_veth(Host& host, const Record& record) {
  const auto is_veth = [&](const std::string& name) {
    const auto link = netlink::find_link(host.route(), name);
    return link && link->kind == "veth";
  };
  for (const JsonRef& interface : record.config.root()["prevResult"]["interfaces"].items()) {
    const std::string name = interface["name"].string_or("");
    if (interface["sandbox"].string_or("").empty() && !interface_name_problem(name) &&
        is_veth(name)) {
      return true;
    }
  }
  return is_veth(
      host_veth_name({record.network, record.attachment.container_id, record.attachment.ifname}));
}

}  // namespace

const std::vector<Record>& Holders::records() {
  if (!records_) {
    records_ = record::list();
    std::erase_if(*records_, [](const Record& record) { return record.plugin != "portmap"; });
  }
  return *records_;
}

Holder Holders::judge(const Record& record) {
  const bool same_container = record.attachment.container_id == request_.container_id;
  if (same_container) return Holder::kSelf;
  if (!record.is_live() && !has_veth(host_, record)) {
    log::warn(concat("container ", quote(record.attachment.container_id), " on network ",
                     quote(record.network), " is gone: its ports are unmapped"));
    return Holder::kDead;
  }
  const std::string pod = pod_of(record.args);
  return !pod.empty() && pod == pod_of(request_.args) ? Holder::kReplaced : Holder::kStranger;
}

Holder Holders::of_tag(std::string_view tag) {
  for (const Record& record : records()) {
    const Owner owner(record.network, record.attachment.container_id, record.attachment.ifname);
    if (owner.tag() == tag) return judge(record);
  }
  return Holder::kStranger;
}

Holder Holders::of_container(std::string_view network, std::string_view container_id) {
  if (container_id == request_.container_id) return Holder::kSelf;
  Holder out = Holder::kStranger;
  for (const Record& record : records()) {
    if (record.network != network || record.attachment.container_id != container_id) continue;
    out = judge(record);
    if (out != Holder::kDead) return out;  // the chains do not tell its interfaces apart
  }
  return out;
}

}  // namespace cni::portmap
