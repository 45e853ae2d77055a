// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <utility>

#include "base/fd.h"

namespace cni::test {

/// A network namespace held open by a descriptor. Independent of libcni's own class, which it
/// tests.
class TestNamespace {
 public:
  [[nodiscard]] static TestNamespace current();
  [[nodiscard]] static TestNamespace open(const std::string& path);
  /// A fresh one with lo down and forwarding off; the caller stays where it is.
  [[nodiscard]] static TestNamespace create();

  /// Settings of the current namespace that would otherwise be inherited from the machine.
  static void set_defaults();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// A path by which other processes can open it while this object lives.
  [[nodiscard]] std::string fd_path() const;

  /// Calls fn in this namespace and comes back.
  template <typename Function>
  auto run(Function fn) const {
    const Entered entered(*this);
    return fn();
  }

  /// /proc/sys/<key>, slash form: "net/ipv4/ip_forward". Reading gives the text without newline.
  void set_sysctl(const std::string& key, const std::string& value) const;
  [[nodiscard]] std::string sysctl(const std::string& key) const;

 private:
  class Entered {
   public:
    explicit Entered(const TestNamespace& target);
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;
    ~Entered();

   private:
    Fd back_;
  };

  explicit TestNamespace(Fd fd) noexcept : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace cni::test
