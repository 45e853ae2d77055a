// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <vector>

#include "model/ip.h"
#include "model/port_mapping.h"

/// What is published for one container.
namespace cni::portmap {

/// A restriction on what is redirected.
struct Condition {
  enum class Subject : unsigned char { kSource, kDestination, kInputLink };
  Subject subject = Subject::kSource;
  bool negated = false;
  std::vector<IpNet> nets = {};         // of the first two: any of them
  std::vector<std::string> links = {};  // of the last
};

/// What one address of the container gets.
struct Target {
  IpAddress container;
  std::vector<PortMapping> mappings;  // that serve its family, without repetitions
  std::string via;                    // the host's link towards it; empty: not known
  bool own_link = false;              // which leads to containers only: a veth, a bridge
  std::vector<Condition> conditions;  // all of which must hold
};

enum class Snat : unsigned char {
  kNone,
  kNeeded,  // where an answer would not come back over the host otherwise
  kAll
};

struct Ports {
  std::vector<Target> targets;  // one of a family
  Snat snat = Snat::kNeeded;
  std::string opens;  // the link over which the host's 127.0.0.0/8 reaches the container, if any
};

/// What went with somebody's elements.
struct Removed {
  std::vector<IpAddress> containers;
  std::vector<std::string> links;  // that were open for them
};

}  // namespace cni::portmap
