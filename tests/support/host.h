// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "support/netns.h"

namespace cni::test {

/// A machine to experiment on: while it lives, this process is in a fresh network namespace and a
/// private mount namespace with an empty /run and /var/lib/cni and a /sys that shows the namespace.
/// Nothing of the real machine is reachable for writing by what plugins do. lo is up, forwarding
/// off. One at a time; several may follow each other. Skips the test where that is not permitted.
class [[nodiscard]] TestHost {
 public:
  TestHost();
  TestHost(const TestHost&) = delete;
  TestHost& operator=(const TestHost&) = delete;
  ~TestHost();

  [[nodiscard]] const TestNamespace& net() const noexcept { return net_; }
  /// An empty directory that is not part of a snapshot.
  [[nodiscard]] const std::string& scratch() const noexcept { return scratch_; }
  /// Both families, as an administrator or kubelet does before any network is used.
  void enable_forwarding() const;

 private:
  Fd outer_mounts_, outer_net_;
  TestNamespace net_;
  std::string scratch_ = "/run/scratch";
};

/// A container: a network namespace bound to /run/netns/NAME in the current TestHost.
class [[nodiscard]] TestSandbox {
 public:
  explicit TestSandbox(std::string_view name);
  TestSandbox(TestSandbox&& other) noexcept
      : path_(std::exchange(other.path_, {})), net_(std::move(other.net_)) {}
  TestSandbox& operator=(TestSandbox&&) = delete;
  ~TestSandbox();

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] const TestNamespace& net() const noexcept { return net_; }

  /// Removes the path; the namespace lives as long as this object (a container whose runtime
  /// forgot it).
  void unlink();
  /// Removes the path and lets the namespace die, as when a container ends.
  static void destroy(TestSandbox sandbox);

 private:
  std::string path_;
  TestNamespace net_;
};

/// A machine next to the TestHost, reached over the host's interface "uplink" through default
/// routes. It knows no route back to container networks: answers arrive only at addresses of the
/// host.
class [[nodiscard]] OutsideHost {
 public:
  explicit OutsideHost(const TestHost& host);

  [[nodiscard]] const TestNamespace& net() const noexcept { return net_; }

  static constexpr std::string_view kHostV4 = "192.0.2.1", kHostV6 = "2001:db8:ffff::1";
  static constexpr std::string_view kV4 = "192.0.2.2", kV6 = "2001:db8:ffff::2";

 private:
  TestNamespace net_;
};

}  // namespace cni::test
