// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <utility>

#include "base/rollback.h"
#include "host/host.h"
#include "model/owner.h"
#include "protocol/request.h"

namespace cni {

/// What the steps of an ADD work on. The configuration is read before anything is opened, and the
/// rollback is last: it runs while the sockets are still open.
template <typename Config>
struct Job {
  const Request& request;
  Config conf;
  Owner owner;
  Host host;
  Sandbox sandbox;
  Rollback rollback;

  explicit Job(const Request& r) : Job(r, Config::parse(r)) {}
  Job(const Request& r, Config config)
      : request(r),
        conf(std::move(config)),
        owner(r.owner()),
        sandbox(Sandbox::open(r.netns, host, r.netns_override)) {}
};

}  // namespace cni
