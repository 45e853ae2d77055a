// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/device.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "base/concat.h"

namespace cni::netlink {
namespace {

Message change(const Link& link, std::string what) {
  Message message(RTM_NEWLINK, NLM_F_ACK, std::move(what));
  ifinfomsg info{};
  info.ifi_index = link.ifindex;
  message.header(info);
  return message;
}

}  // namespace

std::optional<Device> find_device(Socket& socket, const std::string& name) {
  Message look = get_link_message(name);
  socket.transact(look);
  auto link = link_of(look);
  if (!link) return std::nullopt;
  Device out{.link = *std::move(link)};
  const Attributes attributes = look.reply()->attributes<ifinfomsg>();
  attributes.nested(IFLA_PROP_LIST).for_each([&](const nlattr* item) {
    if (nla_type(item) == IFLA_ALT_IFNAME) out.second_names.push_back(Value(item).text());
  });
  out.parent = attributes.text(IFLA_PARENT_DEV_NAME);
  out.parent_bus = attributes.text(IFLA_PARENT_DEV_BUS_NAME);
  return out;
}

Message move_device(const Link& link, const Move& move) {
  Message message =
      change(link, concat("move link ", quote(link.name), " and name it ", quote(move.name)));
  message.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(move.netns));
  message.put_text(IFLA_IFNAME, move.name);
  message.put_text(IFLA_IFALIAS, move.alias);
  return message;
}

Message rename_link(const Link& link, const std::string& name) {
  Message message = change(link, concat("name link ", quote(link.name), " ", quote(name)));
  message.put_text(IFLA_IFNAME, name);
  return message;
}

Message set_master(const Link& link, int master) {
  Message message = change(link, concat("set the master of link ", quote(link.name)));
  message.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(master));
  return message;
}

Message remove_name(const std::string& name, const std::string& second) {
  Message message(RTM_DELLINKPROP, NLM_F_ACK,
                  concat("take the name ", quote(second), " from link ", quote(name)));
  message.header(ifinfomsg{});
  message.put_text(IFLA_IFNAME, name);
  message.nest(IFLA_PROP_LIST, [&](Message& list) { list.put_text(IFLA_ALT_IFNAME, second); });
  return message;
}

}  // namespace cni::netlink
