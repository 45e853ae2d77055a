// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cni::tuning {

/// What /etc/cni/tuning/allowlist.conf lets configurations set: one expression a line, found
/// anywhere in the key as it is written in the configuration. Without the file everything below net
/// is allowed; with an empty one nothing is.
class AllowList {
 public:
  AllowList() noexcept;
  AllowList(AllowList&&) noexcept;
  AllowList& operator=(AllowList&&) = delete;
  ~AllowList();

  /// Reads the file when there is one.
  [[nodiscard]] static AllowList load();
  [[nodiscard]] static AllowList parse(std::string_view text);

  /// Throws Error{kInvalidConfig} unless an expression matches. An expression that cannot be read
  /// is an error too, if none of the others matches.
  void require_allowed(const std::string& key) const;
  /// Throws Error{kInvalidConfig} for the first expression that cannot be read.
  void require_readable() const;

 private:
  class Expression;
  std::optional<std::vector<std::unique_ptr<Expression>>> expressions_;  // nullopt: no file
};

}  // namespace cni::tuning
