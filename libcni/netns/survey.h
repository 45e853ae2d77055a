// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "netns/identity.h"

namespace cni {

/// All network namespaces of this host that processes, their threads, open files and mounts refer
/// to: whoever made something for one that is not among them cannot come back.
class NetNsSurvey {
 public:
  enum class Finding : unsigned char {
    kExists,
    kNumberExists,  // a namespace of its number; whether it is the same cannot be told
    kUnknown,
    kGone,
  };
  // PROC_PID_INIT_INO of the kernel: from the first PID namespace every process can be seen.
  static constexpr std::string_view kFirstPidNamespace = "pid:[4026531836]";

  /// Inode number -> a path that leads to the namespace; "": only from another mount namespace.
  using Places = std::unordered_map<std::uint64_t, std::string>;
  NetNsSurvey(Places places, bool complete) : places_(std::move(places)), complete_(complete) {}

  /// Complete only from the PID namespace that sees all processes, and with the right to look at
  /// each. Where it is not, "gone" takes another namespace that has its number now.
  [[nodiscard]] static NetNsSurvey make(std::string_view sees_all = kFirstPidNamespace);

  [[nodiscard]] Finding find(const NetNsIdentity& wanted) const;
  /// The namespace that has this inode number now, where it can be opened.
  [[nodiscard]] std::optional<NetNs> open(std::uint64_t inode) const;
  /// What is not found does not exist.
  [[nodiscard]] bool complete() const noexcept { return complete_; }

 private:
  Places places_;
  bool complete_;
};

}  // namespace cni
