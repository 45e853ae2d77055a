// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "nft/set.h"

#include <linux/if.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/concat.h"
#include "model/owner.h"
#include "netlink/reply.h"
#include "nft/rule.h"

namespace cni::nft {
namespace {

using netlink::Attributes;
using netlink::Message;
using netlink::Reply;
using netlink::Socket;

constexpr std::uint32_t kTypeBits = 6;  // of each part in a joined type's number
// A nested attribute ends at 64 KiB.
constexpr std::size_t kElementsAtOnce = 200;
constexpr std::size_t kLookupsAtOnce = 64;

void put_name(Message& message, const Set& set) {
  message.put_text(NFTA_SET_ELEM_LIST_TABLE, set.table.name);
  message.put_text(NFTA_SET_ELEM_LIST_SET, set.name);
}

void put_key(Message& element, const Bytes& key) {
  element.nest(NFTA_SET_ELEM_KEY, [&](Message& k) { k.put_bytes(NFTA_DATA_VALUE, key); });
}

void put_element(Message& list, const Set& set, const SetElement& wanted) {
  list.nest(NFTA_LIST_ELEM, [&](Message& element) {
    put_key(element, wanted.key);
    if (set.is_verdict_map()) {
      put_verdict(element, NFTA_SET_ELEM_DATA, wanted.verdict, wanted.chain);
    } else if (set.value) {
      element.nest(NFTA_SET_ELEM_DATA,
                   [&](Message& v) { v.put_bytes(NFTA_DATA_VALUE, wanted.value); });
    }
    if (wanted.comment.empty()) return;
    put_comment(element, NFTA_SET_ELEM_USERDATA, kElementComment, wanted.comment);
  });
}

void parse_elements(const Reply& reply, std::vector<SetElement>& out) {
  reply.attributes<nfgenmsg>()
      .nested(NFTA_SET_ELEM_LIST_ELEMENTS)
      .for_each([&](const nlattr* item) {
        const Attributes element(item);
        const auto key = element.nested(NFTA_SET_ELEM_KEY).bytes(NFTA_DATA_VALUE);
        const Attributes data = element.nested(NFTA_SET_ELEM_DATA);
        const auto value = data.bytes(NFTA_DATA_VALUE);
        const Attributes verdict = data.nested(NFTA_DATA_VERDICT);
        constexpr auto kGoto = static_cast<std::uint32_t>(NFT_GOTO);
        out.push_back({{key.begin(), key.end()},
                       {value.begin(), value.end()},
                       verdict.text(NFTA_VERDICT_CHAIN),
                       comment_of(element.bytes(NFTA_SET_ELEM_USERDATA), kElementComment),
                       static_cast<int>(verdict.be32(NFTA_VERDICT_CODE, kGoto))});
      });
}

/// One message for every kElementsAtOnce of `items`; put(list, item) writes one of them.
template <typename T, typename F>
void in_messages(Transaction& transaction, int type, unsigned flags, const Set& set,
                 std::string_view what, std::span<const T> items, F&& put) {
  while (!items.empty()) {
    const auto part = items.first(std::min(items.size(), kElementsAtOnce));
    items = items.subspan(part.size());
    Message& message =
        transaction.add(type, flags, set.table.family, concat(what, " ", set.text()));
    put_name(message, set);
    message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
      for (const T& item : part) put(list, item);
    });
  }
}

}  // namespace

Type joined(std::initializer_list<Type> parts) {
  Type out;
  for (const Type& part : parts) {
    out.number = (out.number << kTypeBits) | part.number;
    out.bytes += part.bytes;
  }
  return out;
}

std::string Set::text() const {
  return concat("nf_tables ", value ? "map " : "set ", table.text(), " ", name);
}

std::string_view SetElement::tag() const noexcept { return Owner::tag_of(comment); }

Bytes name_key(std::string_view name) {
  Bytes key(name.begin(), name.end());
  key.resize(IFNAMSIZ);
  return key;
}

std::string name_of_key(std::span<const std::uint8_t> key) {
  return {key.begin(), std::ranges::find(key, 0)};
}

Set name_map(const Table& table, std::string_view name) {
  return {table, std::string(name), kIfnameType, kVerdictType};
}

void add_set(Transaction& transaction, const Set& set, std::uint32_t id) {
  Message& message = transaction.add(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL, set.table.family,
                                     concat("create ", set.text()));
  message.put_text(NFTA_SET_TABLE, set.table.name)
      .put_text(NFTA_SET_NAME, set.name)
      .put_be32(NFTA_SET_KEY_TYPE, set.key.number)
      .put_be32(NFTA_SET_KEY_LEN, set.key.bytes)
      .put_be32(NFTA_SET_ID, id);
  if (set.value) {
    message.put_be32(NFTA_SET_FLAGS, NFT_SET_MAP)
        .put_be32(NFTA_SET_DATA_TYPE, set.value->number)
        .put_be32(NFTA_SET_DATA_LEN, set.value->bytes);
  }
  if (set.key.number != kIfnameType.number) return;
  // libnftnl: NFTNL_UDATA_SET_KEYBYTEORDER = 0, four bytes, 1: host byte order.
  std::array<std::uint8_t, 6> userdata{0, 4};
  const std::uint32_t host_order = 1;
  std::memcpy(userdata.data() + 2, &host_order, sizeof host_order);
  message.put_bytes(NFTA_SET_USERDATA, userdata);
}

void delete_set(Transaction& transaction, const Set& set) {
  transaction.add(NFT_MSG_DELSET, 0, set.table.family, concat("delete ", set.text()))
      .put_text(NFTA_SET_TABLE, set.table.name)
      .put_text(NFTA_SET_NAME, set.name);
}

void add_elements(Transaction& transaction, const Set& set, std::span<const SetElement> elements) {
  in_messages(transaction, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_EXCL, set, "add elements to",
              elements,
              [&](Message& list, const SetElement& element) { put_element(list, set, element); });
}

void delete_elements(Transaction& transaction, const Set& set, std::span<const Bytes> keys) {
  in_messages(transaction, NFT_MSG_DELSETELEM, 0, set, "remove elements from", keys,
              [](Message& list, const Bytes& key) {
                list.nest(NFTA_LIST_ELEM, [&](Message& element) { put_key(element, key); });
              });
}

void add_element(Transaction& transaction, const Set& set, const SetElement& element) {
  add_elements(transaction, set, std::span(&element, 1));
}

void delete_element(Transaction& transaction, const Set& set, const Bytes& key) {
  delete_elements(transaction, set, std::span(&key, 1));
}

std::vector<SetElement> find_elements(Socket& socket, const Set& set, std::span<const Bytes> keys) {
  std::vector<SetElement> found;
  while (!keys.empty()) {
    const auto part = keys.first(std::min(keys.size(), kLookupsAtOnce));
    keys = keys.subspan(part.size());
    std::vector<Message> messages;
    for (const Bytes& key : part) {
      // A message of several keys would be answered up to the first that does not exist.
      Message& message = messages.emplace_back(request(
          NFT_MSG_GETSETELEM, set.table.family, concat("look up an element of ", set.text())));
      put_name(message, set);
      message.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&](Message& list) {
        list.nest(NFTA_LIST_ELEM, [&](Message& element) { put_key(element, key); });
      });
      // EINVAL: a set of this name with keys of another kind. It is not ours, nor is what it holds.
      message.tolerate(ENOENT).tolerate(EINVAL);
    }
    std::vector<Message*> all;
    for (Message& message : messages) all.push_back(&message);
    socket.transact(all);
    for (const Message& message : messages) {
      for (const std::string& reply : message.replies()) parse_elements(Reply(reply), found);
    }
  }
  return found;
}

std::optional<SetElement> find_element(Socket& socket, const Set& set, const Bytes& key) {
  std::vector<SetElement> found = find_elements(socket, set, std::span(&key, 1));
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::vector<SetElement> list_elements(Socket& socket, const Set& set) {
  Message message = request(NFT_MSG_GETSETELEM, set.table.family, concat("list ", set.text()));
  put_name(message, set);
  message.tolerate(ENOENT);
  std::vector<SetElement> out;
  socket.dump(
      message, [&] { out.clear(); }, [&](const Reply& reply) { parse_elements(reply, out); });
  return out;
}

std::vector<std::string> list_sets(Socket& socket, const Table& table) {
  Message message =
      request(NFT_MSG_GETSET, table.family, concat("list nf_tables sets of ", table.text()));
  message.put_text(NFTA_SET_TABLE, table.name);
  message.tolerate(ENOENT);
  std::vector<std::string> out;
  socket.dump(
      message, [&] { out.clear(); },
      [&](const Reply& reply) {
        const Attributes set = reply.attributes<nfgenmsg>();
        if (set.text(NFTA_SET_TABLE) == table.name) out.push_back(set.text(NFTA_SET_NAME));
      });
  return out;
}

}  // namespace cni::nft
