// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"
#include "model/result.h"
#include "model/version.h"

namespace cni {

/// One container interface on one network: what every object we make belongs to.
struct Attachment {
  std::string container_id;
  std::string ifname;
  friend auto operator<=>(const Attachment&, const Attachment&) = default;
};

/// The attachments a GC must keep. "cni.dev/valid-attachments" (specification 1.1.0, section 4 GC),
/// else the older spelling "cni.dev/attachments". Absent: nullopt, nothing is known and nothing may
/// be collected. `[]`: nothing is valid. `null`: as `[]`, because it is how the Go library writes
/// an empty list, having deleted every attachment it knows itself (docs/decisions/0004-gc-null.md).
using ValidAttachments = std::optional<std::vector<Attachment>>;

/// What every plugin reads of its configuration. `document` is stdin as a whole.
struct NetConf {
  Json document;
  SpecVersion version = SpecVersion::k010;
  std::string name;
  std::string type;

  [[nodiscard]] JsonRef root() const { return document.root(); }
  [[nodiscard]] JsonRef runtime_config() const { return root()["runtimeConfig"]; }
  [[nodiscard]] JsonRef args_cni() const { return root()["args"]["cni"]; }
  /// nullopt when there is none. Throws when it is not a result.
  [[nodiscard]] std::optional<Result> prev_result() const;
  /// As prev_result, but anything unusable counts as none: for DEL.
  [[nodiscard]] std::optional<Result> prev_result_if_usable() const noexcept;
  [[nodiscard]] ValidAttachments valid_attachments() const;
};

/// CNI_ARGS: "K=V;K=V". Each pair holds exactly one '='; a value may be empty.
class CniArgs {
 public:
  /// Throws Error{kInvalidEnvironment}: malformed pair, or a key outside `known` without
  /// IgnoreUnknown=1 (or true).
  [[nodiscard]] static CniArgs parse(std::string_view text,
                                     const std::vector<std::string_view>& known);
  /// As parse, but keeps what can be read and never throws: for DEL.
  [[nodiscard]] static CniArgs parse_leniently(std::string_view text);
  /// "" when absent or empty.
  [[nodiscard]] std::string get(std::string_view key) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

/// ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$: container ids and network names (specification 1.1.0, section 2).
[[nodiscard]] bool is_valid_name(std::string_view text) noexcept;
/// What is wrong with an interface name (msg, details), or nullopt: 1 to 15 bytes, not "." or "..",
/// no '/', ':' or white space; '%' is refused too because the kernel expands "%d".
[[nodiscard]] std::optional<std::pair<std::string, std::string>> interface_name_problem(
    std::string_view name);
/// A plugin type must name a file: no '/', no leading '.', not empty.
[[nodiscard]] bool is_valid_plugin_type(std::string_view type) noexcept;

}  // namespace cni
