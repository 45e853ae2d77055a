// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// Only the kernel's work of an ADD or DEL: the same links, addresses, routes, sysctls, nf_tables
// elements and lease files as the plugins leave, without protocol, JSON, checks, undo or a second
// process.
//
//   floor add|del KEY=VALUE...
//     netns=PATH host=LINK bridge=LINK v4=ADDRESS gw4=ADDRESS v6=ADDRESS gw6=ADDRESS (prefixes 16
//     and 64) masq=TABLE (of family inet, with maps masq4 and masq6 and chains of these names)
//     lease=DIRECTORY
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

const char* argument(char** argv, const char* key) {
  const std::size_t size = std::strlen(key);
  for (; *argv != nullptr; ++argv) {
    if (std::strncmp(*argv, key, size) == 0 && (*argv)[size] == '=') return *argv + size + 1;
  }
  return nullptr;
}

[[noreturn]] void fail(const char* what, int error) {
  std::fprintf(stderr, "floor: %s: %s\n", what, std::strerror(error));
  std::exit(1);
}

/// Requests for one send.
class Batch {
 public:
  void begin(std::uint16_t type, unsigned flags, const void* header, std::size_t size) {
    message_ = used_;
    nlmsghdr* const h = at<nlmsghdr>(message_);
    *h = {};
    h->nlmsg_type = type;
    h->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    h->nlmsg_seq = ++count_;
    if ((flags & NLM_F_ACK) != 0) ++expected_;
    used_ += sizeof *h;
    append(header, size);
  }
  void put(unsigned type, const void* data, std::size_t size) {
    rtattr* const a = at<rtattr>(used_);
    a->rta_type = static_cast<unsigned short>(type);
    a->rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
    used_ += sizeof *a;
    append(data, size);
  }
  void put(unsigned type, const char* text) { put(type, text, std::strlen(text) + 1); }
  void put32(unsigned type, std::uint32_t value) { put(type, &value, sizeof value); }
  std::size_t nest(unsigned type) {
    const std::size_t start = used_;
    put(type | NLA_F_NESTED, nullptr, 0);
    return start;
  }
  void end(std::size_t nest) {
    at<rtattr>(nest)->rta_len = static_cast<unsigned short>(used_ - nest);
    close();
  }
  void append(const void* data, std::size_t size) {
    if (size > 0) std::memcpy(bytes_ + used_, data, size);
    std::memset(bytes_ + used_ + size, 0, NLMSG_ALIGN(size) - size);
    used_ += NLMSG_ALIGN(size);
    close();
  }
  void commit(int fd, const char* what) {
    if (::send(fd, bytes_, used_, 0) < 0) fail(what, errno);
    while (expected_ > 0) {
      alignas(nlmsghdr) char answer[8192];
      const ssize_t got = ::recv(fd, answer, sizeof answer, 0);
      if (got < 0) fail(what, errno);
      auto rest = static_cast<unsigned>(got);
      for (auto* h = reinterpret_cast<nlmsghdr*>(answer); NLMSG_OK(h, rest);
           h = NLMSG_NEXT(h, rest)) {
        const auto* const error = static_cast<const nlmsgerr*>(NLMSG_DATA(h));
        if (h->nlmsg_type == NLMSG_ERROR && error->error != 0) fail(what, -error->error);
        --expected_;
      }
    }
    used_ = 0;
  }

 private:
  template <typename T>
  T* at(std::size_t offset) {
    return reinterpret_cast<T*>(bytes_ + offset);
  }
  void close() { at<nlmsghdr>(message_)->nlmsg_len = static_cast<unsigned>(used_ - message_); }

  alignas(nlmsghdr) char bytes_[4096];
  std::size_t used_ = 0, message_ = 0;
  unsigned count_ = 0, expected_ = 0;
};

Batch batch;

int open_socket(int protocol) {
  const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (fd < 0) fail("socket", errno);
  return fd;
}

unsigned index_of(const char* link) {
  const unsigned index = ::if_nametoindex(link);
  if (index == 0) fail(link, errno);
  return index;
}

void write_sysctl(const char* format, const char* link, const char* value) {
  char path[256];
  std::snprintf(path, sizeof path, format, link);
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || ::write(fd, value, 1) != 1) fail(path, errno);
  ::close(fd);
}

struct Ip {
  unsigned char family = 0, size = 0, prefix = 0;
  unsigned char bytes[16] = {};
  explicit Ip(const char* text) {
    const bool v6 = std::strchr(text, ':') != nullptr;
    family = v6 ? AF_INET6 : AF_INET;
    size = v6 ? 16 : 4;
    prefix = v6 ? 64 : 16;
    if (::inet_pton(family, text, bytes) != 1) fail(text, EINVAL);
  }
};

void put_address(const char* text, unsigned link) {
  const Ip ip(text);
  ifaddrmsg header{};
  header.ifa_family = ip.family;
  header.ifa_prefixlen = ip.prefix;
  header.ifa_index = link;
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &header, sizeof header);
  batch.put(IFA_LOCAL, ip.bytes, ip.size);
  batch.put(IFA_ADDRESS, ip.bytes, ip.size);
  if (ip.family == AF_INET6) batch.put32(IFA_FLAGS, IFA_F_NODAD);
}

void put_default_route(const char* gateway, unsigned link) {
  const Ip ip(gateway);
  rtmsg header{};
  header.rtm_family = ip.family;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_type = RTN_UNICAST;
  batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_ACK, &header, sizeof header);
  batch.put(RTA_GATEWAY, ip.bytes, ip.size);
  batch.put32(RTA_OIF, link);
}

void put_single_queues() {
  batch.put32(IFLA_NUM_TX_QUEUES, 1);
  batch.put32(IFLA_NUM_RX_QUEUES, 1);
}

void put_veth(const char* host, unsigned master, int netns) {
  const ifinfomsg none{};
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &none, sizeof none);
  batch.put(IFLA_IFNAME, host);
  batch.put32(IFLA_TXQLEN, 0);
  put_single_queues();
  if (master != 0) batch.put32(IFLA_MASTER, master);
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  batch.put(IFLA_INFO_KIND, "veth");
  const std::size_t data = batch.nest(IFLA_INFO_DATA);
  const std::size_t peer = batch.nest(VETH_INFO_PEER);
  batch.append(&none, sizeof none);
  batch.put(IFLA_IFNAME, "eth0");
  put_single_queues();
  batch.put32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns));
  batch.end(peer);
  batch.end(data);
  batch.end(info);
}

void put_up(unsigned index, const char* name, const char* alias) {
  ifinfomsg up{};
  up.ifi_index = static_cast<int>(index);
  up.ifi_flags = up.ifi_change = IFF_UP;
  batch.begin(RTM_NEWLINK, NLM_F_ACK, &up, sizeof up);
  if (name != nullptr) batch.put(IFLA_IFNAME, name);
  if (alias != nullptr) batch.put(IFLA_IFALIAS, alias);
}

void put_no_link_local(const char* name) {
  const ifinfomsg link{};
  batch.begin(RTM_NEWLINK, NLM_F_ACK, &link, sizeof link);
  batch.put(IFLA_IFNAME, name);
  const std::size_t families = batch.nest(IFLA_AF_SPEC);
  const std::size_t v6 = batch.nest(AF_INET6);
  const std::uint8_t mode = IN6_ADDR_GEN_MODE_NONE;
  batch.put(IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof mode);
  batch.end(v6);
  batch.end(families);
}

void put_arp_notify(unsigned index) {
  ifinfomsg link{};
  link.ifi_index = static_cast<int>(index);
  batch.begin(RTM_NEWLINK, NLM_F_ACK, &link, sizeof link);
  const std::size_t families = batch.nest(IFLA_AF_SPEC);
  const std::size_t v4 = batch.nest(AF_INET);
  const std::size_t conf = batch.nest(IFLA_INET_CONF);
  batch.put32(IPV4_DEVCONF_ARP_NOTIFY, 1);
  batch.end(conf);
  batch.end(v4);
  batch.end(families);
}

void put_frame(int type) {
  nfgenmsg header{};
  header.res_id = htons(NFNL_SUBSYS_NFTABLES);
  batch.begin(static_cast<std::uint16_t>(type), 0, &header, sizeof header);
}

void put_element(const char* table, const char* map, const char* address, bool add) {
  const Ip ip(address);
  nfgenmsg header{};
  header.nfgen_family = 1;  // inet
  const int type = add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM;
  batch.begin(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type),
              NLM_F_ACK | (add ? NLM_F_CREATE : 0), &header, sizeof header);
  batch.put(NFTA_SET_ELEM_LIST_TABLE, table);
  batch.put(NFTA_SET_ELEM_LIST_SET, map);
  const std::size_t list = batch.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
  const std::size_t element = batch.nest(NFTA_LIST_ELEM);
  const std::size_t key = batch.nest(NFTA_SET_ELEM_KEY);
  batch.put(NFTA_DATA_VALUE, ip.bytes, ip.size);
  batch.end(key);
  if (add) {
    const std::size_t data = batch.nest(NFTA_SET_ELEM_DATA);
    const std::size_t verdict = batch.nest(NFTA_DATA_VERDICT);
    batch.put32(NFTA_VERDICT_CODE, htonl(static_cast<std::uint32_t>(NFT_GOTO)));
    batch.put(NFTA_VERDICT_CHAIN, map);
    batch.end(verdict);
    batch.end(data);
  }
  batch.end(element);
  batch.end(list);
}

void change_elements(char** argv, bool add) {
  const char* const table = argument(argv, "masq");
  if (table == nullptr) return;
  const int fd = open_socket(NETLINK_NETFILTER);
  put_frame(NFNL_MSG_BATCH_BEGIN);
  put_element(table, "masq4", argument(argv, "v4"), add);
  if (const char* const v6 = argument(argv, "v6")) put_element(table, "masq6", v6, add);
  put_frame(NFNL_MSG_BATCH_END);
  batch.commit(fd, "nf_tables");
}

void change_lease(char** argv, const char* key, bool add) {
  const char* const directory = argument(argv, "lease");
  const char* const address = argument(argv, key);
  if (directory == nullptr || address == nullptr) return;
  const int dir = ::open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int lock = ::openat(dir, "lock", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || ::flock(lock, LOCK_EX) != 0) fail(directory, errno);
  if (add) {
    const int lease = ::openat(dir, address, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (lease < 0 || ::write(lease, "t\r\neth0", 7) != 7) fail(address, errno);
    const int last = ::openat(dir, "last_reserved_ip.0", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    const auto size = std::strlen(address);
    if (last < 0 || ::write(last, address, size) < 0) fail("last_reserved_ip.0", errno);
  } else {
    if (::unlinkat(dir, address, 0) != 0) fail(address, errno);
  }
  ::close(lock);
  ::close(dir);
}

void add_links(char** argv) {
  const char* const host = argument(argv, "host");
  const char* const bridge = argument(argv, "bridge");
  const char* const v4 = argument(argv, "v4");
  const char* const v6 = argument(argv, "v6");
  const int own = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  const int netns = ::open(argument(argv, "netns"), O_RDONLY | O_CLOEXEC);
  if (own < 0 || netns < 0) fail("netns", errno);
  const int outer = open_socket(NETLINK_ROUTE);
  put_veth(host, bridge == nullptr ? 0 : index_of(bridge), netns);
  batch.commit(outer, "create the pair");
  write_sysctl("/proc/sys/net/ipv6/conf/%s/accept_ra", host, "0");
  if (bridge != nullptr) put_no_link_local(host);
  put_up(0, host, "bench/floor, one container");
  batch.commit(outer, "host end up");

  if (::setns(netns, CLONE_NEWNET) != 0) fail("setns", errno);
  const int inner = open_socket(NETLINK_ROUTE);
  const unsigned link = index_of("eth0");
  write_sysctl("/proc/sys/net/ipv6/conf/%s/accept_dad", "eth0", "0");
  if (v6 != nullptr) {
    write_sysctl("/proc/sys/net/ipv6/conf/%s/disable_ipv6", "eth0", "0");
    write_sysctl("/proc/sys/net/ipv6/conf/%s/keep_addr_on_down", "eth0", "1");
  }
  put_arp_notify(link);
  put_address(v4, link);
  if (v6 != nullptr) put_address(v6, link);
  put_up(link, nullptr, nullptr);
  put_default_route(argument(argv, "gw4"), link);
  if (v6 != nullptr) put_default_route(argument(argv, "gw6"), link);
  batch.commit(inner, "addresses and routes");
  if (::setns(own, CLONE_NEWNET) != 0) fail("setns", errno);
}

void delete_links(char** argv) {
  ifinfomsg none{};
  batch.begin(RTM_DELLINK, NLM_F_ACK, &none, sizeof none);
  batch.put(IFLA_IFNAME, argument(argv, "host"));
  batch.commit(open_socket(NETLINK_ROUTE), "delete the pair");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const bool add = std::strcmp(argv[1], "add") == 0;
  if (add) {
    change_lease(argv, "v4", true);
    change_lease(argv, "v6", true);
    if (argument(argv, "netns") != nullptr) add_links(argv);
    change_elements(argv, true);
  } else {
    change_elements(argv, false);
    if (argument(argv, "host") != nullptr) delete_links(argv);
    change_lease(argv, "v4", false);
    change_lease(argv, "v6", false);
  }
  return 0;
}
