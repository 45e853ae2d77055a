// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"

namespace cni {

/// Whose a kernel object is: one interface of one container on one network. The tag is what we
/// write beside every object (element comments, link aliases); it has the form that the reference
/// uses for its nftables rules: 16 hex digits of SHA-512(network), "-", 16 of SHA-512(ifname ":"
/// id).
class Owner {
 public:
  Owner(std::string_view network, std::string_view container_id, std::string_view ifname);

  [[nodiscard]] const std::string& tag() const noexcept { return tag_; }
  /// The part of the tag that all attachments of a network share, with the "-".
  [[nodiscard]] static std::string network_tag(std::string_view network);
  /// Whether the text has the form of a tag, anybody's.
  [[nodiscard]] static bool is_tag(std::string_view text) noexcept;
  /// The tag at the beginning of a label: the text up to the first blank or comma.
  [[nodiscard]] static std::string_view tag_of(std::string_view label) noexcept {
    return label.substr(0, label.find_first_of(" ,"));
  }
  /// The tag, a blank, `extra`, and the names in clear for people, cut to `limit` bytes.
  [[nodiscard]] std::string label(std::string_view extra, std::size_t limit) const;

 private:
  std::string tag_;
  std::string names_;
};

/// The alias of the ports that lead to the gateway of a bridge's VLAN: they are the bridge's own,
/// no container is behind them.
inline constexpr std::string_view kVlanGatewayAlias = "cnipp: VLAN gateway";

/// The attachments of a network that GC keeps: there may be very many.
class OwnerSet {
 public:
  OwnerSet(std::string_view network, std::vector<Attachment> attachments);
  /// False for a tag of another network, and for what is no tag.
  [[nodiscard]] bool contains(std::string_view tag) const noexcept;
  [[nodiscard]] bool contains(const Attachment& attachment) const noexcept;
  /// Whether any attachment of this container is among them.
  [[nodiscard]] bool contains_container(std::string_view container_id) const noexcept;
  [[nodiscard]] bool empty() const noexcept { return attachments_.empty(); }
  /// Sorted.
  [[nodiscard]] const std::vector<Attachment>& attachments() const noexcept { return attachments_; }

 private:
  std::string network_tag_;
  std::vector<Attachment> attachments_;
  std::vector<std::uint64_t> hashes_;  // the tags' second parts, sorted
};

}  // namespace cni
