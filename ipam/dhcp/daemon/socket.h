// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <optional>
#include <string>

#include "base/fd.h"
#include "frame.h"
#include "packet.h"

/// What the client hears and says on a link. A socket belongs to the namespace of the thread that
/// opened it. Nothing here waits.
namespace cni::dhcp {

inline constexpr Mac kEverybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct Received {
  Packet packet;
  Mac sender;
};

/// DHCP below IP: for a link that has no address yet. The kernel passes on only answers to this
/// MAC.
class PacketSocket {
 public:
  static PacketSocket open(int ifindex, const Mac& mac);

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  /// The next one that is a DHCP message; nullopt when nothing more is there.
  [[nodiscard]] std::optional<Received> receive();
  /// Throws KernelError.
  void send(const Datagram& datagram, const Mac& to) const;

 private:
  PacketSocket(Fd fd, int ifindex) : fd_(std::move(fd)), ifindex_(ifindex) {}
  Fd fd_;
  int ifindex_;
};

/// ARP for address probes.
class ArpSocket {
 public:
  static ArpSocket open(int ifindex, const Mac& mac);

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  void probe(const IpAddress& address) const;
  /// Whether somebody has shown meanwhile to have or to want the address. Reads all that is there.
  [[nodiscard]] bool hears_of(const IpAddress& address);

 private:
  ArpSocket(Fd fd, int ifindex, const Mac& mac)
      : fd_(std::move(fd)), ifindex_(ifindex), mac_(mac) {}
  Fd fd_;
  int ifindex_;
  Mac mac_;
};

/// A UDP socket that only sends; what comes is dropped without an ICMP error. On a link it has the
/// client's port; without one (empty) any. Throws KernelError.
[[nodiscard]] Fd open_udp(const IpAddress& source, const std::string& link);
void send_udp(const Fd& socket, const IpAddress& to, View payload);

}  // namespace cni::dhcp
