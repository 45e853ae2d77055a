// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cnitool {

void print(std::string_view text);
void print_error(std::string_view text);

using Row = std::vector<std::string>;
/// The rows as lines of aligned columns; empty cells show as "-".
[[nodiscard]] std::string table(const std::vector<Row>& rows);

}  // namespace cnitool
