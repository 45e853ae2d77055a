// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon/loop.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <ctime>

#include "base/deadline.h"
#include "base/error.h"

namespace cni::dhcp {
namespace {

// For what one event can make us wait for: answers of the kernel's.
constexpr std::chrono::seconds kPatience{10};

}  // namespace

Loop::Loop()
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      // Counts while the machine sleeps, as leases do; epoll's own timeout does not.
      timer_(::timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {
  if (!epoll_.valid() || !timer_.valid()) throw_errno("create epoll and timer");
  watch(timer_.get(), EPOLLIN, [](std::uint32_t) {});
}

void Loop::watch(int fd, std::uint32_t events, Handler handler) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  const bool is_new = handlers_.find(fd) == handlers_.end();
  if (::epoll_ctl(epoll_.get(), is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0) {
    throw_errno("watch a descriptor");
  }
  handlers_[fd] = std::move(handler);
}

void Loop::forget(int fd) noexcept {
  if (handlers_.erase(fd) != 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void Loop::turn(Time alarm) {
  itimerspec when{};
  if (alarm != kNever) {
    // Zero would switch the timer off; a time that has passed makes it ring at once.
    const std::int64_t ms = std::max<std::int64_t>(alarm.count(), 1);
    when.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
  }
  ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  // One at a time: a handler may close what another event of the same row would be about.
  epoll_event event{};
  const int ready = ::epoll_wait(epoll_.get(), &event, 1, -1);
  if (ready < 0 && errno != EINTR) throw_errno("wait for events");
  if (ready <= 0) return;
  const auto found = handlers_.find(event.data.fd);
  if (found == handlers_.end()) return;
  const Handler handler = found->second;
  Deadline::start(kPatience);
  handler(event.events);
}

Time Loop::now() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) +
         std::chrono::duration_cast<Time>(std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace cni::dhcp
