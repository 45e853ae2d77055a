// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "host/host.h"
#include "protocol/record.h"
#include "protocol/request.h"

namespace cni::portmap {

/// Who has a port that we are to publish.
enum class Holder : unsigned char {
  kStranger,  // lives, or is not known: a conflict
  kSelf,      // this container, on another network: we come behind it
  kReplaced,  // the pod that this container takes the place of: it comes behind us
  kDead       // its namespace is gone, and with it what it had on the host
};

/// Tells holders apart, by what their ADDs left in /run/cnipp/attachments. Who left nothing there
/// is a stranger. Read when the first is asked for: without a conflict nobody asks.
class Holders {
 public:
  Holders(Host& host, const Request& request) : host_(host), request_(request) {}

  [[nodiscard]] Holder of_tag(std::string_view tag);
  [[nodiscard]] Holder of_container(std::string_view network, std::string_view container_id);

 private:
  [[nodiscard]] const std::vector<record::Record>& records();
  [[nodiscard]] Holder judge(const record::Record& record);

  Host& host_;
  const Request& request_;
  std::optional<std::vector<record::Record>> records_;
};

}  // namespace cni::portmap
