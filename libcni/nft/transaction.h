// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <linux/netfilter/nf_tables.h>

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "netlink/socket.h"

namespace cni::nft {

enum class TableFamily : unsigned char {
  kInet = 1,
  kIpv4 = 2,
  kBridge = 7,
  kIpv6 = 10
};  // NFPROTO_*

/// A request outside a transaction (look-ups, dumps): NFT_MSG_GET*.
[[nodiscard]] netlink::Message request(int message_type, TableFamily family, std::string what);

/// The ruleset's generation: changes with every transaction of anybody in this namespace.
[[nodiscard]] std::uint32_t generation(netlink::Socket& socket);

/// Commands that the kernel carries out all together or not at all.
class Transaction {
 public:
  /// The reference stays valid as long as the transaction.
  netlink::Message& add(int message_type, unsigned flags, TableFamily family, std::string what);
  [[nodiscard]] bool empty() const noexcept { return commands_.empty(); }
  [[nodiscard]] const std::deque<netlink::Message>& commands() const noexcept { return commands_; }
  /// The command added last.
  [[nodiscard]] netlink::Message& back() noexcept { return commands_.back(); }

  /// errno of the first command that the kernel refused (nothing was changed), 0 on success. With a
  /// generation: ERESTART when the ruleset has changed since.
  [[nodiscard]] int try_commit(netlink::Socket& socket,
                               std::optional<std::uint32_t> generation = std::nullopt);
  /// Throws the refusal that the last try_commit met.
  [[noreturn]] void fail() const;
  /// Whether that met no refusal but of the last command.
  [[nodiscard]] bool failed_at_last() const noexcept;

 private:
  std::deque<netlink::Message> commands_;
  const netlink::Message* failed_ = nullptr;
  std::string failed_what_;
  std::string failed_extack_;
  int failed_errno_ = 0;
};

/// Comments as `nft` stores and shows them.
void put_comment(netlink::Message& message, int attribute, int comment_type, std::string_view text);
[[nodiscard]] std::string comment_of(std::span<const std::uint8_t> userdata, int comment_type);
/// The text behind `key` in a comment of ours: "... n=2 ..." has 2 behind "n=".
[[nodiscard]] std::string_view field_of(std::string_view comment, std::string_view key) noexcept;
inline constexpr int kElementComment = 0;  // libnftnl: NFTNL_UDATA_SET_ELEM_COMMENT
inline constexpr int kRuleComment = 0;     // libnftnl: NFTNL_UDATA_RULE_COMMENT
inline constexpr std::size_t kMaxComment = 127;

}  // namespace cni::nft
