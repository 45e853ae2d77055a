// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <deque>
#include <map>
#include <thread>

#include "base/concat.h"
#include "base/log.h"
#include "base/process.h"
#include "base/rollback.h"
#include "commands.h"
#include "output.h"
#include "protocol/delegate.h"
#include "protocol/record.h"

namespace cnitool {
namespace {

using cni::concat;
using cni::record::Record;

/// One plugin at work on one record.
class Restoring {
 public:
  explicit Restoring(const Record& record) : record_(record), child_(start(record)) {}

  /// False when the attachment has gone meanwhile: its namespace, or its link, by a DEL or a hand.
  bool finish() {
    std::string output;
    const cni::ExitStatus status = child_.wait(output);
    try {
      cni::require_success(record_.plugin, status, output, child_.words());
    } catch (const cni::Error& error) {
      if (error.code() != cni::ErrorCode::kUnknownContainer && record_.is_live()) throw;
      cni::log::warn(concat(what(), ": left out: ", error.what()));
      return false;
    }
    return true;
  }
  [[nodiscard]] std::string what() const { return describe(record_); }

  static std::string describe(const Record& record) {
    return concat("restore the rules of ", record.plugin, ", network ", record.network,
                  ", container ", record.attachment.container_id, ", interface ",
                  record.attachment.ifname);
  }

 private:
  static cni::Child start(const Record& record) {
    cni::Environment environment = cni::Environment::current();
    environment.set("CNI_COMMAND", text(cni::Command::kRestore));
    environment.set("CNI_CONTAINERID", record.attachment.container_id);
    environment.set("CNI_NETNS", record.netns);
    environment.set("CNI_IFNAME", record.attachment.ifname);
    environment.set("CNI_ARGS", record.args);
    environment.set("CNI_PATH", record.path);
    const std::string path = cni::find_plugin(record.plugin, record.path);
    return cni::Child::start(path, {path}, environment.entries(), record.config.dump());
  }

  const Record& record_;
  cni::Child child_;
};

using Chain = std::vector<const Record*>;  // the records of one attachment, in ADD's order

/// The plugin at this place of every chain; `gone` counts those whose attachment has gone
/// meanwhile; as many at once as there are processors.
std::size_t restore_at(std::size_t place, const std::vector<Chain>& chains, std::size_t& gone,
                       cni::ErrorList& errors) {
  const std::size_t at_once = std::max(1U, std::thread::hardware_concurrency());
  std::size_t restored = 0;
  std::deque<Restoring> running;
  const auto finish_one = [&] {
    errors.attempt(running.front().what(), [&] { ++(running.front().finish() ? restored : gone); });
    running.pop_front();
  };
  for (const Chain& chain : chains) {
    if (place >= chain.size()) continue;
    if (running.size() == at_once) finish_one();
    errors.attempt(Restoring::describe(*chain[place]),
                   [&] { running.emplace_back(*chain[place]); });
  }
  while (!running.empty()) finish_one();
  return restored;
}

std::vector<Chain> chains_of(const std::vector<const Record*>& records) {
  std::map<std::pair<std::string, cni::Attachment>, Chain> by_attachment;
  for (const Record* const record : records) {
    by_attachment[{record->network, record->attachment}].push_back(record);
  }
  std::vector<Chain> out;
  out.reserve(by_attachment.size());
  for (auto& [key, chain] : by_attachment) out.push_back(std::move(chain));
  return out;
}

}  // namespace

void reload(const Options& options) {
  const std::vector<Record> records = cni::record::list();
  std::vector<const Record*> live;
  std::size_t dead = 0;
  for (const Record& record : records) {
    if (!options.network.empty() && record.network != options.network) continue;
    if (record.is_live()) {
      live.push_back(&record);
    } else {
      ++dead;
      cni::log::warn(concat(Restoring::describe(record), ": left out, its namespace is gone"));
    }
  }
  const std::vector<Chain> chains = chains_of(live);
  std::size_t longest = 0;
  for (const Chain& chain : chains) longest = std::max(longest, chain.size());
  cni::ErrorList errors;
  std::size_t restored = 0;
  for (std::size_t place = 0; place < longest; ++place) {
    restored += restore_at(place, chains, dead, errors);
  }
  print(concat("restored the rules of ", restored, " of ", live.size(), " plugins of ",
               chains.size(), " live attachments",
               dead == 0 ? "" : concat(" (", dead, " records of dead ones left out)"), "\n"));
  errors.throw_if_any();
}

}  // namespace cnitool
