// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/owner.h"

#include "base/concat.h"
#include "base/hash.h"

namespace cni {
namespace {

constexpr std::size_t kDigits = 16;

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

}  // namespace cni
