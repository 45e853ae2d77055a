// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "netlink/socket.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include "base/concat.h"
#include "base/error.h"
#include "netlink/address.h"
#include "netlink/kinds.h"
#include "netlink/monitor.h"
#include "netlink/route.h"
#include "support/catch.h"
#include "support/command.h"
#include "support/error_of.h"
#include "support/host.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;
using cni::IpAddress;
using cni::IpNet;
using cni::netlink::Message;
using cni::netlink::Socket;
namespace netlink = cni::netlink;

namespace {

constexpr int kMany = 3000;  // more than the parts of one sendmsg

std::vector<Message*> pointers_to(std::vector<Message>& messages) {
  std::vector<Message*> out;
  for (Message& message : messages) out.push_back(&message);
  return out;
}

}  // namespace

TEST_CASE("netlink: thousands of requests, and which of them were refused", "[netlink]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kRoute);
  const int lo = netlink::get_link(socket, "lo").ifindex;
  std::vector<Message> messages;
  for (int i = 0; i < kMany; ++i) {
    const IpAddress address = IpAddress::parse("10.7.0.1").plus(i % (kMany - 1));  // the last twice
    messages.push_back(netlink::new_address(lo, "lo", IpNet::host(address), netlink::Dad::kSkip));
  }
  messages.back().tolerate(EEXIST);
  socket.transact(pointers_to(messages));
  CHECK(messages.front().error() == 0);
  CHECK(messages.back().error() == EEXIST);
  const auto addresses = netlink::list_addresses(socket, lo, cni::Family::kV4);
  CHECK(std::ranges::count_if(addresses, [](const netlink::Address& address) {
          return !address.net.address.is_loopback();
        }) == kMany - 1);
}

TEST_CASE("netlink: the first refusal is the error, and the rest is done", "[netlink]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kRoute);
  const int lo = netlink::get_link(socket, "lo").ifindex;
  std::vector<Message> messages;
  messages.push_back(netlink::delete_link(4711, "nowhere"));
  messages.push_back(
      netlink::new_address(lo, "lo", IpNet::parse("10.7.0.1/32"), netlink::Dad::kSkip));
  const auto error = error_of([&] { socket.transact(pointers_to(messages)); });
  CHECK_THAT(std::string(error.what()), contains("delete link \"nowhere\""));
  CHECK_THAT(std::string(error.what()), contains("ENODEV"));
  CHECK_THAT(tool("ip -o addr show dev lo"), contains("10.7.0.1/32"));
}

TEST_CASE("netlink: what is asked of a link that has gone", "[netlink]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kRoute);
  CHECK_FALSE(netlink::find_link(socket, "nowhere"));
  CHECK_FALSE(netlink::find_link(socket, 4711));
  CHECK(netlink::list_addresses(socket, 4711).empty());
  CHECK(netlink::list_routes(socket, 4711).empty());
  CHECK(netlink::list_links(socket, 4711).empty());
  CHECK_FALSE(netlink::delete_link_if_exists(socket, 4711, "nowhere"));
  CHECK(error_of([&] { (void)netlink::get_link(socket, "nowhere"); }).code() ==
        cni::ErrorCode::kKernel);
}

TEST_CASE("netlink: an answer that is shorter than its header is refused", "[netlink]") {
  std::string bytes(sizeof(nlmsghdr) + 4, '\0');
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(bytes.size());
  header.nlmsg_type = RTM_NEWLINK;
  std::copy_n(static_cast<const char*>(static_cast<const void*>(&header)), sizeof header,
              bytes.begin());
  const netlink::Reply reply(bytes);
  CHECK(reply.type() == RTM_NEWLINK);
  CHECK(error_of([&] { (void)reply.header<ifinfomsg>(); }).code() == cni::ErrorCode::kKernel);
  CHECK(reply.attributes<ifinfomsg>().find(IFLA_IFNAME) == nullptr);
  CHECK(error_of([&] { (void)netlink::Reply(bytes.substr(0, 7)); }).code() ==
        cni::ErrorCode::kKernel);
  CHECK(netlink::errno_of(-ENODEV) == ENODEV);
  CHECK(netlink::errno_of(std::numeric_limits<int>::min()) == EBADMSG);
}

TEST_CASE("netlink: waits end with an event, the deadline or the link", "[netlink]") {
  const TestHost host;
  Socket socket = Socket::open(Socket::Protocol::kRoute);
  tool("ip link add v0 type veth peer name v1");
  tool("ip link set v0 up");
  const netlink::Link link = netlink::get_link(socket, "v0");
  const cni::NetNs here = cni::NetNs::current();
  SECTION("an event") {
    const Process other = Process::start({.argv = {"ip", "link", "set", "v1", "up"}});
    CHECK(netlink::wait_until_operational(socket, here, link));
    CHECK(netlink::get_link(socket, "v0").is_operational());
  }
  SECTION("the link goes") {
    const Process other = Process::start({.argv = {"ip", "link", "del", "v0"}});
    CHECK_THAT(
        std::string(error_of([&] { netlink::wait_until_operational(socket, here, link); }).what()),
        contains("ENODEV"));
  }
}
