// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "model/owner.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "base/concat.h"
#include "base/hash.h"

namespace cni {
namespace {

constexpr std::size_t kDigits = 16;

/// The part of the tag that is the attachment's own.
std::string own_part(std::string_view container_id, std::string_view ifname) {
  return sha512_hex(concat(ifname, ":", container_id), kDigits);
}

std::string_view id_of(const Attachment& attachment) noexcept { return attachment.container_id; }

/// nullopt for what is not hexadecimal as a whole.
std::optional<std::uint64_t> number(std::string_view hex) noexcept {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
  if (error != std::errc() || end != hex.data() + hex.size()) return std::nullopt;
  return value;
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
    : tag_(concat(network_tag(network), own_part(container_id, ifname))),
      names_(concat("net: ", network, ", if: ", ifname, ", id: ", container_id)) {
  std::erase(names_, '"');  // nft prints comments between quotes and does not escape
}

std::string Owner::label(std::string_view extra, std::size_t limit) const {
  std::string out = concat(tag_, extra.empty() ? "" : " ", extra, ", ", names_);
  if (out.size() > limit) out.resize(limit);
  return out;
}

OwnerSet::OwnerSet(std::string_view network, std::vector<Attachment> attachments)
    : network_tag_(Owner::network_tag(network)), attachments_(std::move(attachments)) {
  hashes_.reserve(attachments_.size());
  for (const Attachment& attachment : attachments_) {
    hashes_.push_back(number(own_part(attachment.container_id, attachment.ifname)).value_or(0));
  }
  std::ranges::sort(attachments_);
  std::ranges::sort(hashes_);
}

bool OwnerSet::contains(std::string_view tag) const noexcept {
  if (!Owner::is_tag(tag) || !tag.starts_with(network_tag_)) return false;
  const auto hash = number(tag.substr(network_tag_.size()));
  return hash && std::ranges::binary_search(hashes_, *hash);
}

bool OwnerSet::contains(const Attachment& attachment) const noexcept {
  return std::ranges::binary_search(attachments_, attachment);
}

bool OwnerSet::contains_container(std::string_view container_id) const noexcept {
  const auto found = std::ranges::lower_bound(attachments_, container_id, {}, &id_of);
  return found != attachments_.end() && found->container_id == container_id;
}

}  // namespace cni
