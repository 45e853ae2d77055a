// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/ip.h"
#include "model/json.h"
#include "netlink/link.h"

/// The key "master" of the plugins whose link stands on another one.
namespace cni::lower_link {

/// One way to say which link is meant.
struct Choice {
  std::string text;             // as it is written
  std::optional<Mac> mac;       // "mac:02:00:00:00:00:01"; else
  std::optional<IpNet> subnet;  // "subnet:192.0.2.0/24": it has an address in it; else
                                // a name or second name of it
};

/// A text or a list of texts; none when absent or empty text. Throws Error{kInvalidConfig}.
[[nodiscard]] std::vector<Choice> parse_choices(const JsonRef& json);

/// The first that exists in the socket's namespace. A MAC is looked for among the links that do not
/// stand on others: those have their lower link's.
[[nodiscard]] std::optional<netlink::Link> find(netlink::Socket& socket,
                                                const std::vector<Choice>& choices);

/// What was looked for, for messages: "uplink", or several with " or " between.
[[nodiscard]] std::string text_of(const std::vector<Choice>& choices);

}  // namespace cni::lower_link
