// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nft/table.h"

/// Sets and maps of one of our tables with whatever keys and values, many elements to a message. An
/// element's comment begins with the tag of its owner.
namespace cni::nft {

using Bytes = std::vector<std::uint8_t>;

/// A type as nft(8) numbers and shows it. Types that are joined ("inet_proto . inet_service") take
/// whole registers of four bytes each.
struct Type {
  std::uint32_t number = 0;
  std::uint32_t bytes = 0;
};
inline constexpr Type kIpv4Type{7, 4}, kIpv6Type{8, 16};
inline constexpr Type kProtocolType{12, 4}, kPortType{13, 4};  // inet_proto, inet_service
inline constexpr Type kIfnameType{41, 16};
inline constexpr Type kVerdictType{0xffffff00, 16};
[[nodiscard]] Type joined(std::initializer_list<Type> parts);

struct Set {
  Table table;
  std::string name;
  Type key;
  std::optional<Type> value;  // a map, then

  [[nodiscard]] bool is_verdict_map() const noexcept {
    return value && value->number == kVerdictType.number;
  }
  /// "nf_tables map inet cnipp masq4"
  [[nodiscard]] std::string text() const;
};

struct SetElement {
  Bytes key;
  Bytes value;        // of a map
  std::string chain;  // of a verdict map, if the verdict needs one
  std::string comment;
  int verdict = NFT_GOTO;  // of a verdict map: NF_DROP, ...

  /// The comment up to the first blank or comma.
  [[nodiscard]] std::string_view tag() const noexcept;
  bool operator==(const SetElement&) const = default;
};

/// An interface's name as a key, and back.
[[nodiscard]] Bytes name_key(std::string_view name);
[[nodiscard]] std::string name_of_key(std::span<const std::uint8_t> key);
/// From interface names to verdicts.
[[nodiscard]] Set name_map(const Table& table, std::string_view name);

// Commands. Creations fail with EEXIST (an element with another value: EBUSY), removals with
// ENOENT.

/// `id` distinguishes the sets of one transaction.
void add_set(Transaction& transaction, const Set& set, std::uint32_t id);
/// With its elements. EBUSY while a rule looks it up.
void delete_set(Transaction& transaction, const Set& set);
void add_elements(Transaction& transaction, const Set& set, std::span<const SetElement> elements);
void add_element(Transaction& transaction, const Set& set, const SetElement& element);
void delete_elements(Transaction& transaction, const Set& set, std::span<const Bytes> keys);
void delete_element(Transaction& transaction, const Set& set, const Bytes& key);

// Look-ups. What does not exist is empty, also when the whole table is missing, or when the set is
// of another type.

/// Those that exist, in the order of the keys; one send for all.
[[nodiscard]] std::vector<SetElement> find_elements(netlink::Socket& socket, const Set& set,
                                                    std::span<const Bytes> keys);
[[nodiscard]] std::optional<SetElement> find_element(netlink::Socket& socket, const Set& set,
                                                     const Bytes& key);
[[nodiscard]] std::vector<SetElement> list_elements(netlink::Socket& socket, const Set& set);
[[nodiscard]] std::vector<std::string> list_sets(netlink::Socket& socket, const Table& table);

}  // namespace cni::nft
