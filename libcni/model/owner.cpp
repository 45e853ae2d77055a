// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/owner.h"

#include <algorithm>

#include "base/concat.h"
#include "base/hash.h"

namespace cni {
namespace {

constexpr std::size_t kDigits = 16;

bool has(const std::vector<std::string>& sorted, std::string_view text) {
  const auto found = std::ranges::lower_bound(
      sorted, text, {}, [](const std::string& s) -> std::string_view { return s; });
  return found != sorted.end() && *found == text;
}

}  // namespace

std::string Owner::network_tag(std::string_view network) {
  return sha512_hex(network, kDigits) + "-";
}

bool Owner::is_tag(std::string_view text) noexcept {
  return text.size() == 2 * kDigits + 1 && text[kDigits] == '-' &&
         text.find_first_not_of("0123456789abcdef") == kDigits &&
         text.find_first_not_of("0123456789abcdef", kDigits + 1) == text.npos;
}

Owner::Owner(std::string_view network, std::string_view container_id, std::string_view ifname)
    : tag_(concat(network_tag(network), sha512_hex(concat(ifname, ":", container_id), kDigits))),
      names_(concat("net: ", network, ", if: ", ifname, ", id: ", container_id)) {
  std::erase(names_, '"');  // nft prints comments between quotes and does not escape
}

std::string Owner::label(std::string_view extra, std::size_t limit) const {
  std::string out = concat(tag_, extra.empty() ? "" : " ", extra, ", ", names_);
  if (out.size() > limit) out.resize(limit);
  return out;
}

OwnerSet::OwnerSet(std::string_view network, const std::vector<Attachment>& attachments) {
  for (const Attachment& attachment : attachments) {
    tags_.push_back(Owner(network, attachment.container_id, attachment.ifname).tag());
    containers_.push_back(attachment.container_id);
  }
  std::ranges::sort(tags_);
  std::ranges::sort(containers_);
}

bool OwnerSet::contains(std::string_view tag) const noexcept { return has(tags_, tag); }

bool OwnerSet::contains_container(std::string_view container_id) const noexcept {
  return has(containers_, container_id);
}

}  // namespace cni
