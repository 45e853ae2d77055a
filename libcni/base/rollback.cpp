// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "base/rollback.h"

#include "base/concat.h"
#include "base/deadline.h"
#include "base/log.h"

namespace cni {

Rollback::~Rollback() {
  if (steps_.empty()) return;
  // What failed may have been the deadline: cleaning up gets its own time.
  Deadline::extend_for_cleanup();
  for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
    try {
      log::Step timed(concat("undo: ", step->first));
      step->second();
    } catch (const std::exception& error) {
      log::error(concat("undo: ", step->first, ": ", error.what()));
    }
  }
}

void Rollback::on_failure(std::string what, std::function<void()> undo) {
  steps_.emplace_back(std::move(what), std::move(undo));
}

}  // namespace cni
