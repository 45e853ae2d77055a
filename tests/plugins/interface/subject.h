// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>

#include "plugins/fixture.h"

/// What holds for every plugin that makes an interface; one program for each of them. A plugin says
/// in subjects/<plugin>.cpp what differs; its own tests are about the rest.
namespace cni::test {

struct Subject {
  const char* plugin;
  const char* members = "";  // of the configuration, but for `ipam`
  const char* kind;          // of the container's interface, as `ip -d` has it
  const char* prepare = "";  // commands on the host, separated by ';'
  /// Found from the host whatever became of CNI_NETNS. Else the namespace's path must be there.
  bool found_from_host = false;
  bool layer2 = true;       // works without `ipam`
  bool chooses_mac = true;  // the interface has a MAC of its own, which can be changed
};
extern const Subject kSubject;

/// 10.1.2.0/24 and 2001:db8:1::/64 with default routes and one route of another MTU.
extern const std::string_view kInterfaceIpam;

/// A configuration of the subject with those addresses.
[[nodiscard]] std::string subject_conf(std::string_view version = "1.1.0",
                                       std::string_view network = "net1");

/// A host as the subject needs it, with a neighbour: what is shared is there and stays as it is.
struct SubjectHost {
  TestHost host;
  TestSandbox neighbour{"c0"}, sandbox{"c1"};
  Snapshot before;

  SubjectHost();
  [[nodiscard]] Attachment attachment(const std::string& conf = subject_conf()) const {
    return {.conf = conf, .netns = sandbox.path(), .plugin = kSubject.plugin};
  }
  [[nodiscard]] const TestNamespace* inside() const { return &sandbox.net(); }
  /// What differs from the time before the test's ADD, on the host and in the container; "" when
  /// nothing.
  [[nodiscard]] std::string leftovers() const;

 private:
  Snapshot inside_before_;
};

}  // namespace cni::test
