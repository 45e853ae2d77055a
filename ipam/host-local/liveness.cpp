// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "liveness.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <time.h>

#include <algorithm>
#include <memory>
#include <span>

#include "base/error.h"

namespace cni::host_local {
namespace {

// More than any verb may take: until then the interface may be yet to come.
constexpr Timestamp kNew = 2 * 3600 * kSecond;

Timestamp boot_time() {
  timespec up{};
  ::clock_gettime(CLOCK_BOOTTIME, &up);
  return now() - nanoseconds(up);
}

std::optional<IpAddress> address_of(const sockaddr* socket) {
  if (socket == nullptr) return std::nullopt;
  const void* const any = socket;
  const auto bytes_at = [](const auto& field) {
    return std::span(reinterpret_cast<const std::uint8_t*>(&field), sizeof field);
  };
  if (socket->sa_family == AF_INET) {
    return IpAddress::from_bytes(Family::kV4,
                                 bytes_at(static_cast<const sockaddr_in*>(any)->sin_addr));
  }
  if (socket->sa_family == AF_INET6) {
    return IpAddress::from_bytes(Family::kV6,
                                 bytes_at(static_cast<const sockaddr_in6*>(any)->sin6_addr));
  }
  return std::nullopt;
}

/// Also when that cannot be told.
bool may_have(const NetNs& netns, const IpAddress& address) {
  try {
    return netns.run([&] {
      ifaddrs* list = nullptr;
      if (::getifaddrs(&list) != 0) return true;
      const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owned(list, ::freeifaddrs);
      for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
        if (address_of(one->ifa_addr) == address) return true;
      }
      return false;
    });
  } catch (const KernelError&) {
    return true;  // no right to enter it
  }
}

}  // namespace

Liveness::Liveness(std::string boot, bool only_this_host, std::optional<NetNsSurvey> namespaces)
    : boot_(std::move(boot)),
      only_this_host_(only_this_host),
      booted_(boot_time()),
      namespaces_(std::move(namespaces)) {}

Life Liveness::judge(const Lease& lease) { return judge(brief_of(lease, boot_)); }

Life Liveness::judge(const Brief& lease) {
  switch (lease.origin) {
    case kTorn:
      // Under the lock nobody is about to write it: what is no lease now never becomes one.
      return Life::kDead;
    case kNoStamp:
      return lease.made < booted_ ? Life::kSuspect : Life::kUnknown;
    case kOtherBoot:
      return only_this_host_ ? Life::kDead : Life::kSuspect;
    case kNoFile:
    case kThisBoot:
      return Life::kUnknown;
    default:
      return judge_namespace(lease);
  }
}

Life Liveness::judge_namespace(const Brief& lease) {
  if (!namespaces_) namespaces_ = NetNsSurvey::make();
  switch (namespaces_->find({boot_, lease.origin, lease.cookie})) {
    case NetNsSurvey::Finding::kExists:
      return Life::kAlive;
    case NetNsSurvey::Finding::kGone:
      return Life::kDead;
    case NetNsSurvey::Finding::kUnknown:
      return Life::kUnknown;
    case NetNsSurvey::Finding::kNumberExists:
      break;
  }
  if (lease.made > now() - kNew) return Life::kAlive;
  const auto netns = namespaces_->open(lease.origin);
  return !netns || may_have(*netns, lease.address) ? Life::kAlive : Life::kDead;
}

}  // namespace cni::host_local
