// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/transaction.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <cerrno>

#include "base/error.h"
#include "netlink/reply.h"

namespace cni::nft {
namespace {

using netlink::Message;
using netlink::Reply;

Message frame(std::uint16_t type) {
  Message message(type, 0, "nf_tables transaction");
  nfgenmsg header{};
  header.res_id = htons(NFNL_SUBSYS_NFTABLES);
  message.header(header);
  return message;
}

Message command(int type, unsigned flags, TableFamily family, std::string what) {
  Message message(static_cast<std::uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | type), flags,
                  std::move(what));
  nfgenmsg header{};
  header.nfgen_family = static_cast<std::uint8_t>(family);
  header.version = NFNETLINK_V0;
  message.header(header);
  return message;
}

}  // namespace

Message request(int message_type, TableFamily family, std::string what) {
  return command(message_type, 0, family, std::move(what));
}

std::uint32_t generation(netlink::Socket& socket) {
  Message message = command(NFT_MSG_GETGEN, 0, TableFamily{}, "read the nf_tables generation");
  socket.transact(message);
  if (message.replies().empty()) return 0;
  return Reply(message.replies().front()).attributes<nfgenmsg>().be32(NFTA_GEN_ID);
}

Message& Transaction::add(int message_type, unsigned flags, TableFamily family, std::string what) {
  commands_.push_back(command(message_type, NLM_F_ACK | flags, family, std::move(what)));
  return commands_.back();
}

int Transaction::try_commit(netlink::Socket& socket, std::optional<std::uint32_t> generation) {
  Message begin = frame(NFNL_MSG_BATCH_BEGIN);
  if (generation) begin.put_be32(NFNL_BATCH_GENID, *generation);
  Message end = frame(NFNL_MSG_BATCH_END);
  std::vector<Message*> all{&begin};
  for (Message& message : commands_) all.push_back(&message);
  all.push_back(&end);
  socket.transact_batch(all);

  failed_errno_ = 0;
  failed_ = nullptr;
  for (const Message* message : all) {
    if (message->error() == 0) continue;
    failed_ = message;
    failed_errno_ = message->error();
    failed_what_ = message->what();
    failed_extack_ = message->extack();
    break;
  }
  return failed_errno_;
}

bool Transaction::failed_at_last() const noexcept {
  return !commands_.empty() && failed_ == &commands_.back();
}

void Transaction::fail() const { throw KernelError(failed_errno_, failed_what_, failed_extack_); }

void put_comment(Message& message, int attribute, int comment_type, std::string_view text) {
  // A type-length-value list of one entry; the text ends with NUL, which the length counts.
  std::vector<std::uint8_t> data;
  text = text.substr(0, kMaxComment);
  data.push_back(static_cast<std::uint8_t>(comment_type));
  data.push_back(static_cast<std::uint8_t>(text.size() + 1));
  data.insert(data.end(), text.begin(), text.end());
  data.push_back(0);
  message.put_bytes(attribute, data);
}

std::string comment_of(std::span<const std::uint8_t> userdata, int comment_type) {
  while (userdata.size() >= 2) {
    const std::size_t length = userdata[1];
    if (userdata.size() < 2 + length) break;
    const auto value = userdata.subspan(2, length);
    if (userdata[0] == comment_type) return {value.begin(), std::ranges::find(value, 0)};
    userdata = userdata.subspan(2 + length);
  }
  return {};
}

std::string_view field_of(std::string_view comment, std::string_view key) noexcept {
  while (!comment.empty()) {
    const auto end = comment.find_first_of(" ,");
    if (comment.starts_with(key)) return comment.substr(0, end).substr(key.size());
    comment.remove_prefix(end == comment.npos ? comment.size() : end + 1);
  }
  return {};
}

}  // namespace cni::nft
