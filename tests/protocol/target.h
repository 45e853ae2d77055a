// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/command.h"

namespace cni::test {

/// The plugin that these cases are about; one program per plugin defines it.
extern const char* const kTarget;

/// The path of its binary.
[[nodiscard]] std::string target_binary();

using Variables = std::vector<std::pair<std::string, std::string>>;

/// Every variable of an attachment that does not exist (its namespace is missing).
[[nodiscard]] Variables attachment(std::string_view command);
/// The variables with one set to another value; with one removed.
[[nodiscard]] Variables with(Variables variables, std::string_view name, std::string_view value);
[[nodiscard]] Variables without(Variables variables, std::string_view name);

/// A configuration of this version that has a name and a type and nothing else.
[[nodiscard]] std::string config(std::string_view version = "1.1.0");

/// Calls the plugin with exactly this environment.
Output call(const Variables& variables, const std::string& input);

/// Status 1 and on stdout one CNI error object and nothing else.
struct ErrorObject {
  std::int64_t code = 0;
  std::string msg, details, version;
};
[[nodiscard]] ErrorObject error_of_call(const Output& output);
/// The plugin ended as the protocol allows: success, or a good error object. For calls whose
/// outcome depends on the plugin.
void require_well_formed(const Output& output, std::string_view command);

}  // namespace cni::test
