// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "output.h"

#include <unistd.h>

#include <algorithm>

#include "base/fd.h"

namespace cnitool {

void print(std::string_view text) { cni::write_all(STDOUT_FILENO, text, "stdout"); }
void print_error(std::string_view text) { cni::write_all(STDERR_FILENO, text, "stderr"); }

std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max({widths[i], row[i].size(), std::size_t{1}});
    }
  }
  std::string out;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string& cell = row[i].empty() ? "-" : row[i];
      out += cell;
      const bool last = i + 1 == row.size();
      out.append(last ? 0 : widths[i] + 2 - cell.size(), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace cnitool
