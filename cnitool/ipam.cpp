// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "base/concat.h"
#include "base/error.h"
#include "commands.h"
#include "host-local/config.h"
#include "host-local/reclaim.h"
#include "host-local/store.h"
#include "output.h"

namespace cnitool {
namespace {

namespace hl = cni::host_local;
using cni::concat;
using cni::Error;
using cni::ErrorCode;
using cni::quote;

constexpr std::size_t kBar = 30;

/// The host-local part of a network: where its leases are, and its ranges as far as the file says.
struct Pool {
  std::string network;
  std::string data_dir;
  std::vector<hl::RangeSet> sets;
};

Pool load_pool(const Options& options) {
  const cni::Network network = load(options);
  for (const cni::Json& plugin : network.plugins) {
    if (plugin.root()["ipam"]["type"].string_or("") != "host-local") continue;
    cni::NetConf conf;
    conf.document = plugin_config(network, plugin, cni::Json(), cni::Json::object());
    conf.version = cni::kLatestVersion;
    conf.name = network.name;
    Pool out{network.name, hl::Config::data_dir_of(conf), {}};
    try {
      out.sets = hl::Config::parse(conf, {}).sets;
    } catch (const Error& error) {
      // The ranges may come with each request; the leases are there all the same.
      print_error(concat("no ranges to show: ", error.what(), "\n"));
    }
    return out;
  }
  throw Error(ErrorCode::kInvalidConfig,
              concat("network ", quote(network.name), " has no plugin with IPAM host-local"),
              network.file);
}

struct Entry {
  hl::Lease lease;
  hl::Life life;
};

std::vector<Entry> read_entries(const Pool& pool) {
  std::vector<Entry> out;
  auto store = hl::Store::open_if_exists(pool.data_dir, pool.network);
  if (!store) return out;
  hl::Liveness liveness = store->liveness();
  for (hl::Lease& lease : store->scan()) {
    const hl::Life life = liveness.judge(lease);
    out.push_back({std::move(lease), life});
  }
  std::ranges::sort(out, {}, [](const Entry& e) { return e.lease.address; });
  return out;
}

std::string life_text(hl::Life life) {
  switch (life) {
    case hl::Life::kAlive:
      return "yes";
    case hl::Life::kUnknown:
      return "unknown";
    case hl::Life::kSuspect:
      return "doubtful";
    case hl::Life::kDead:
      break;
  }
  return "no";
}

std::string age_text(hl::Timestamp made) {
  const std::int64_t seconds = std::max<std::int64_t>(0, (hl::now() - made) / 1'000'000'000);
  if (seconds < 120) return concat(seconds, "s");
  if (seconds < 7200) return concat(seconds / 60, "m");
  if (seconds < 172800) return concat(seconds / 3600, "h");
  return concat(seconds / 86400, "d");
}

Row row_of(const Entry& entry) {
  const auto& owner = entry.lease.owner;
  return {entry.lease.address.text(), owner ? owner->container_id : "(torn)",
          owner ? owner->ifname : "", age_text(entry.lease.made), life_text(entry.life)};
}

std::string entries_table(const std::vector<Entry>& entries) {
  std::vector<Row> rows = {{"ADDRESS", "CONTAINER", "IFNAME", "AGE", "ALIVE"}};
  for (const Entry& entry : entries) rows.push_back(row_of(entry));
  return table(rows);
}

/// How many addresses of the range can be handed out; INT64_MAX stands for that or more.
std::int64_t size_of(const hl::RangeSet& set, const hl::Range& range) {
  double size = 1;
  const auto start = range.start.bytes();
  const auto end = range.end.bytes();
  double distance = 0;
  for (std::size_t i = 0; i < start.size(); ++i) {
    distance = distance * 256 + end[i] - start[i];
  }
  size += distance;
  for (const hl::Range& other : set.ranges()) size -= range.contains(other.gateway) ? 1 : 0;
  return size >= 9e18 ? INT64_MAX : static_cast<std::int64_t>(size);
}

std::int64_t used_of(const hl::Range& range, const std::vector<Entry>& entries) {
  return std::ranges::count_if(
      entries, [&](const Entry& entry) { return range.contains(entry.lease.address); });
}

std::string bar(std::int64_t used, std::int64_t size) {
  const double share = size > 0 ? static_cast<double>(used) / static_cast<double>(size) : 1;
  auto filled = std::min(kBar, static_cast<std::size_t>(share * kBar));
  if (used > 0 && filled == 0) filled = 1;
  return concat("[", std::string(filled, '#'), std::string(kBar - filled, '.'), "] ",
                static_cast<int>(share * 100), "%");
}

std::string ranges_table(const Pool& pool, const std::vector<Entry>& entries) {
  std::vector<Row> rows = {{"SET", "RANGE", "LEASES", "OF", "FULL"}};
  for (std::size_t i = 0; i < pool.sets.size(); ++i) {
    for (const hl::Range& range : pool.sets[i].ranges()) {
      const std::int64_t used = used_of(range, entries);
      const std::int64_t size = size_of(pool.sets[i], range);
      rows.push_back({concat(i), range.text(), concat(used),
                      size == INT64_MAX ? "2^63 or more" : concat(size), bar(used, size)});
    }
  }
  return rows.size() > 1 ? table(rows) + "\n" : "";
}

cni::Json to_json(const Pool& pool, const std::vector<Entry>& entries) {
  cni::Json ranges = cni::Json::array();
  for (std::size_t i = 0; i < pool.sets.size(); ++i) {
    for (const hl::Range& range : pool.sets[i].ranges()) {
      ranges.push(cni::Json::object()
                      .set("set", static_cast<std::int64_t>(i))
                      .set("start", range.start.text())
                      .set("end", range.end.text())
                      .set("size", size_of(pool.sets[i], range))
                      .set("leases", used_of(range, entries)));
    }
  }
  cni::Json leases = cni::Json::array();
  for (const Entry& entry : entries) {
    cni::Json lease = cni::Json::object();
    lease.set("address", entry.lease.address.text());
    if (entry.lease.owner) {
      lease.set("containerID", entry.lease.owner->container_id);
      lease.set("ifname", entry.lease.owner->ifname);
    }
    lease.set("made", entry.lease.made / 1'000'000'000);
    lease.set("alive", life_text(entry.life));
    leases.push(std::move(lease));
  }
  return cni::Json::object()
      .set("network", pool.network)
      .set("directory", concat(pool.data_dir, "/", pool.network))
      .set("ranges", std::move(ranges))
      .set("leases", std::move(leases));
}

bool confirmed(const Options& options, std::size_t count) {
  if (options.yes) return true;
  print(concat("free ", count, count == 1 ? " lease" : " leases", "? [y/N] "));
  char answer = 0;
  return ::read(STDIN_FILENO, &answer, 1) == 1 && (answer == 'y' || answer == 'Y');
}

std::vector<Entry> select(const Options& options, const Pool& pool) {
  std::vector<Entry> entries = read_entries(pool);
  if (options.dead) {
    std::erase_if(entries, [](const Entry& entry) {
      return entry.life != hl::Life::kDead && entry.life != hl::Life::kSuspect;
    });
    return entries;
  }
  const cni::IpAddress wanted = cni::IpAddress::parse(options.address);
  std::erase_if(entries, [&](const Entry& entry) {
    return entry.lease.address != wanted || !entry.lease.regular;
  });
  if (entries.empty()) {
    throw Error(ErrorCode::kInvalidConfig,
                concat("no lease of ", wanted.text(), " in network ", quote(pool.network)));
  }
  return entries;
}

}  // namespace

void ipam_show(const Options& options) {
  const Pool pool = load_pool(options);
  const std::vector<Entry> entries = read_entries(pool);
  print(options.json ? to_json(pool, entries).dump(4) + "\n"
                     : ranges_table(pool, entries) + entries_table(entries));
}

void ipam_free(const Options& options) {
  if (options.dead == !options.address.empty()) {
    throw Error(ErrorCode::kInvalidEnvironment, "give either an address or --dead");
  }
  const Pool pool = load_pool(options);
  const std::vector<Entry> chosen = select(options, pool);
  if (chosen.empty()) return print("no lease looks dead\n");
  print(entries_table(chosen));
  if (!confirmed(options, chosen.size())) return print("nothing freed\n");

  // The lock was not held while the question was open: only what is still the same is freed.
  auto store = hl::Store::open_if_exists(pool.data_dir, pool.network);
  std::size_t freed = 0;
  for (const Entry& entry : chosen) {
    const auto lease = store ? store->find(entry.lease.address) : std::nullopt;
    if (!lease || lease->owner != entry.lease.owner || lease->made != entry.lease.made) continue;
    store->release(*lease);
    ++freed;
  }
  print(concat("freed ", freed, freed == 1 ? " lease\n" : " leases\n"));
}

}  // namespace cnitool
