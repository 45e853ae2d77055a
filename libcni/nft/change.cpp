// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/change.h"

#include <cerrno>
#include <optional>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/file_lock.h"
#include "nft/table.h"

namespace cni::nft {
namespace {

using netlink::Socket;

constexpr std::string_view kTurns = "nftables";  // the lock of those who have met many changes
constexpr int kTriesOutOfTurn = 8;
constexpr int kMaxTries = 1000;  // each meets a different concurrent change

/// The errno of a refusal that only says that the ruleset has changed meanwhile.
bool is_transient(int error_number) noexcept {
  return error_number == ERESTART || error_number == EAGAIN || error_number == EINTR;
}

/// Calls `attempt` until it returns true; false says that somebody else's change got in its way.
void optimistically(std::string_view what, const std::function<bool()>& attempt) {
  std::optional<FileLock> turn;
  if (FileLock::is_held(kTurns)) turn = FileLock::of_suite_if_possible(kTurns);
  int tries = 1;
  for (; !attempt(); ++tries) {
    if (tries == kMaxTries || Deadline::passed()) {
      throw Error(ErrorCode::kTryAgain,
                  concat(what, ": the nf_tables ruleset changed at each of ", tries, " attempts"));
    }
    if (tries == kTriesOutOfTurn && !turn) turn = FileLock::of_suite_if_possible(kTurns);
  }
}

/// The errno of a refusal by an unchanged ruleset; 0: done.
int try_change(Socket& socket, std::string_view what, const Fill* quick, const Fill& fill,
               int expected) {
  int refusal = 0;
  bool look = quick == nullptr;
  optimistically(what, [&] {
    Transaction transaction;
    std::optional<std::uint32_t> seen;
    if (look) seen = generation(socket);
    (look ? fill : *quick)(transaction);
    if (transaction.empty()) return true;
    refusal = transaction.try_commit(socket, seen);
    if (refusal == 0) return true;
    const bool again = !look || is_transient(refusal);
    look = true;
    if (!again && refusal != expected) transaction.fail();
    return !again;
  });
  return refusal;
}

}  // namespace

void change(Socket& socket, std::string_view what, const Fill& fill) {
  try_change(socket, what, nullptr, fill, 0);
}

void change(Socket& socket, std::string_view what, const Fill& quick, const Fill& fill) {
  try_change(socket, what, &quick, fill, 0);
}

bool change_unless_busy(Socket& socket, std::string_view what, const Fill& fill) {
  return try_change(socket, what, nullptr, fill, EBUSY) == 0;
}

void rehearse(Socket& socket, Transaction transaction) {
  // The last command must fail, and takes everything before it back.
  delete_table(transaction, {TableFamily::kInet, "cnipp-probe-end"});
  if (transaction.try_commit(socket) != ENOENT || !transaction.failed_at_last()) transaction.fail();
}

}  // namespace cni::nft
