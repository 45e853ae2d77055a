// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sweep/sweep.h"

namespace cni::test {

/// A host with a sandbox to attach to a bridge (or by ptp) and, unless told otherwise, a neighbour
/// on the same bridge, so that what is shared does not change. It remembers how it looks without
/// the attachment.
class Ground {
 public:
  enum class Bridge : unsigned char { kInUse, kNone };
  /// `more`: members of the plugin's configuration besides those of kDualStack.
  explicit Ground(std::string_view more = R"("macspoofchk":true)", Bridge bridge = Bridge::kInUse,
                  const std::string& plugin = "bridge");

  [[nodiscard]] const TestHost& host() const noexcept { return host_; }
  /// Where plugins are found from now on (CNI_PATH).
  void set_plugin_path(const std::string& path) { attachment_.plugin_path = path; }
  void set_environment(std::vector<std::string> env) { attachment_.env = std::move(env); }
  /// What to call for the verb: GC with the neighbour as the only valid attachment.
  [[nodiscard]] Attachment caller(std::string_view verb) const;
  /// The plugin's verb, or its IPAM plugin's.
  [[nodiscard]] Victim victim(const std::string& verb) const;
  [[nodiscard]] Victim ipam_victim(const std::string& verb) const;

  /// The state the verb is called in: attached, but for ADD.
  void prepare(std::string_view verb) const;
  /// How host and container differ from before, or the processes that are left; "" if in nothing.
  [[nodiscard]] std::string leftovers() const;
  /// The verbs must succeed; then nothing is left. Says what is wrong.
  [[nodiscard]] std::string clean_up(const std::vector<std::string>& verbs) const;
  /// Says so if a DEL or GC released an address of the attachment whose host veth is there.
  [[nodiscard]] std::string early_release(std::string_view verb) const;

 private:
  TestHost host_;
  TestSandbox neighbour_{"c0"}, sandbox_{"c1"};
  std::vector<std::string> valid_;
  Attachment attachment_;
  std::string veth_;
  std::size_t leases_with_ = 0;
  Snapshot host_before_, container_before_;
};

}  // namespace cni::test
