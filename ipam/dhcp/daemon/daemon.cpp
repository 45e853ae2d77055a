// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdlib>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "daemon/server.h"

namespace cni::dhcp {
namespace {

// For what can make us wait while leases are taken up, and at each tick.
constexpr std::chrono::seconds kPatience{10};
constexpr unsigned kPidfileMode = 0644;

std::string machine_id() {
  const std::string path = "/etc/machine-id";
  const Fd fd = open_file_if_exists(path, O_RDONLY);
  return fd.valid() ? read_all(fd.get(), path) : std::string();
}

void configure_log() {
  log::Options options;
  options.plugin = "dhcp";
  options.verb = "daemon";
  options.level = log::Level::kInfo;
  if (const char* const level = std::getenv("CNI_LOG_LEVEL")) {  // NOLINT(concurrency-mt-unsafe)
    log::parse_level(level, options.level);
  }
  if (const char* const file = std::getenv("CNI_LOG_FILE")) {  // NOLINT(concurrency-mt-unsafe)
    options.file = file;
  }
  log::configure(std::move(options));
}

/// The signals that end the daemon, as something to be read.
Fd take_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGTERM);
  ::sigaddset(&set, SIGINT);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Fd out(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!out.valid()) throw_errno("signalfd");
  return out;
}

/// An ADD under way takes three: caller, packets, UDP.
void allow_many_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

class Pidfile {
 public:
  explicit Pidfile(std::string path) : path_(std::move(path)) {
    if (!path_.empty()) write_file_atomically(path_, concat(::getpid()), kPidfileMode);
  }
  Pidfile(const Pidfile&) = delete;
  Pidfile& operator=(const Pidfile&) = delete;
  ~Pidfile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }

 private:
  std::string path_;
};

void serve(const DaemonOptions& options) {
  Deadline::start(kPatience);
  allow_many_files();
  const Fd signals = take_signals();
  const Pidfile pidfile(options.pidfile);
  const std::string path = concat(options.host_prefix, options.socket_path);
  const LeaseFiles files(path);
  files.ensure_directory();
  // Callers wait in its queue while the leases are taken up.
  const Listener listener(path, files.directory());
  Loop loop;
  const NetNs home = NetNs::current();
  Surroundings around{home, loop, files, options, machine_id()};
  Server server(around, listener);
  bool ended = false;
  loop.watch(signals.get(), EPOLLIN, [&](std::uint32_t) { ended = true; });
  server.load();
  log::info(concat("listening on ", path));
  while (!ended) {
    loop.turn(server.next());
    Deadline::start(kPatience);
    server.tick();
  }
}

}  // namespace

int run_daemon(std::span<const char* const> arguments) {
  DaemonOptions options;
  try {
    options = DaemonOptions::parse(arguments);
  } catch (const Error& error) {
    write_all(STDERR_FILENO, concat(error.what(), "\n", daemon_usage()), "stderr");
    return 2;
  }
  if (options.help) {
    write_all(STDERR_FILENO, daemon_usage(), "stderr");
    return 0;
  }
  configure_log();
  try {
    serve(options);
    return 0;
  } catch (const std::exception& error) {
    log::error(error.what());
    return 1;
  }
}

}  // namespace cni::dhcp
