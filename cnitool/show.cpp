// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <linux/magic.h>
#include <sys/statfs.h>

#include "base/concat.h"
#include "base/error.h"
#include "commands.h"
#include "model/result.h"
#include "output.h"

namespace cnitool {
namespace {

/// The namespace is still there; an empty file left over by an unmount is none.
bool is_alive(const std::string& netns) {
  struct statfs info {};
  return !netns.empty() && ::statfs(netns.c_str(), &info) == 0 &&
         (info.f_type == NSFS_MAGIC || info.f_type == PROC_SUPER_MAGIC);
}

std::vector<std::string> addresses(const cni::CachedAttachment& entry) {
  std::vector<std::string> out;
  try {
    const cni::Result result = cni::parse_result(entry.result.root(), cni::kLatestVersion);
    for (const cni::IpConfig& ip : result.ips) out.push_back(ip.address.text());
  } catch (const cni::Error&) {
    // A result that cannot be read has no addresses to show; the attachment is there all the same.
  }
  return out;
}

}  // namespace

void show(const Options& options) {
  std::vector<Row> rows = {{"NETWORK", "CONTAINER", "IFNAME", "ADDRESSES", "ALIVE", "NETNS"}};
  cni::Json json = cni::Json::array();
  for (const cni::CachedAttachment& entry : cache(options).list()) {
    if (!options.network.empty() && entry.network != options.network) continue;
    const std::vector<std::string> ips = addresses(entry);
    const bool alive = is_alive(entry.args.netns);
    std::string joined;
    for (const std::string& ip : ips) joined += cni::concat(joined.empty() ? "" : ",", ip);
    rows.push_back({entry.network, entry.args.container_id, entry.args.ifname, joined,
                    alive ? "yes" : "no", entry.args.netns});
    json.push(cni::Json::object()
                  .set("network", entry.network)
                  .set("containerID", entry.args.container_id)
                  .set("ifname", entry.args.ifname)
                  .set("netns", entry.args.netns)
                  .set("addresses", ips)
                  .set("alive", alive));
  }
  print(options.json ? json.dump(4) + "\n" : table(rows));
}

}  // namespace cnitool
