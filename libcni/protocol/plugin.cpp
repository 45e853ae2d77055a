// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/plugin.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <new>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "protocol/record.h"

#ifndef CNIPP_VERSION
#define CNIPP_VERSION "unknown"
#endif

namespace cni {
namespace {

constexpr int kIndent = 4;
constexpr std::int64_t kMaxTimeoutSeconds = 3600;

std::string version_list(std::string_view separator, bool quoted) {
  std::string out;
  for (const std::string_view version : kSupportedVersions) {
    if (!out.empty()) out += separator;
    out += quoted ? quote(version) : std::string(version);
  }
  return out;
}

std::string version_json() {
  return concat("{\"cniVersion\":", quote(text(kLatestVersion)), ",\"supportedVersions\":[",
                version_list(",", true), "]}\n");
}

void configure_log(const Plugin& plugin, const Request& request, std::string_view level,
                   const std::string& file) {
  log::Options options;
  options.plugin = plugin.name;
  options.verb = text(request.command);
  options.network = request.conf.name;
  options.container_id = request.container_id;
  options.ifname = request.ifname;
  options.file = file;
  const bool known = level.empty() || log::parse_level(level, options.level);
  log::configure(std::move(options));
  if (!known) log::error(concat("logLevel: unknown level ", quote(level), ", using error"));
}

/// Configuration keys first, the environment over them: an operator debugging one call wins.
void configure_log(const Plugin& plugin, const Request& request) {
  std::string level = request.environment.get("CNI_LOG_LEVEL");
  std::string file = request.environment.get("CNI_LOG_FILE");
  const JsonRef root = request.conf.root();
  // Logging never fails a verb: keys of a wrong type are passed over.
  if (level.empty() && root["logLevel"].is_string()) level = root["logLevel"].string();
  if (file.empty() && root["logFile"].is_string()) file = root["logFile"].string();
  configure_log(plugin, request, level, file);
}

std::chrono::seconds time_limit(const Request& request) {
  std::int64_t seconds = Deadline::kDefault.count();
  const std::string from_environment = request.environment.get("CNI_TIMEOUT_SECONDS");
  const JsonRef from_config = request.conf.root()["timeoutSeconds"];
  if (!from_environment.empty()) {
    seconds = 0;
    for (const char c : from_environment) {
      if (c < '0' || c > '9' || seconds > kMaxTimeoutSeconds) {
        seconds = -1;
        break;
      }
      seconds = seconds * 10 + (c - '0');
    }
    if (seconds < 1 || seconds > kMaxTimeoutSeconds) {
      throw Error(ErrorCode::kInvalidEnvironment,
                  concat("CNI_TIMEOUT_SECONDS: must be between 1 and ", kMaxTimeoutSeconds,
                         ", got ", quote(from_environment)));
    }
  } else {
    seconds = from_config.int_or(seconds, 1, kMaxTimeoutSeconds);
  }
  return std::chrono::seconds(seconds);
}

void start_deadline(const Request& request) {
  try {
    Deadline::start(time_limit(request));
  } catch (const Error& error) {
    // Cleaning up works with a configuration that ADD would refuse.
    if (request.command != Command::kDel && request.command != Command::kGc) throw;
    log::warn(error.what());
    Deadline::start(Deadline::kDefault);
  }
}

/// An ADD of whose result nobody has heard: nobody would ever DEL it.
void take_back(const Plugin& plugin, Environment environment, const std::string& input) {
  environment.set("CNI_COMMAND", text(Command::kDel));
  std::string out;
  std::string err;
  const auto same_input = [&] { return input; };
  run(plugin, environment, same_input, out, err);
}

/// The result as JSON. A chained plugin that changed nothing passes on what it was given, members
/// that we do not know included (specification 1.1.0, section 2 "Plugin Delegation", 5 "ADD").
Json result_json(const Request& request, const Result& result) {
  const SpecVersion version = request.conf.version;
  Json json = to_json(result, version);
  const JsonRef given = request.conf.root()["prevResult"];
  if (request.conf.prev_result_if_usable() == result &&
      given["cniVersion"].string_or(text(version)) == text(version)) {
    json = Json(given);
    json.set("cniVersion", text(version));
  }
  return json;
}

std::string add(const Plugin& plugin, const Request& request) {
  const Json result = result_json(request, plugin.add(request));
  if (plugin.restore != nullptr && plugin.has_rules(request)) {
    try {
      record::save(plugin.name, request, result);
    } catch (const Error& error) {
      // Only reloads need it: the container is connected and everything else works.
      log::error(concat("cnitool reload will not know this attachment: ", error.what()));
    }
  }
  return result.dump(kIndent);
}

void del(const Plugin& plugin, const Request& request) {
  // Held until the rules are gone, or a reload would bring them back.
  std::vector<record::Held> records;
  if (plugin.restore != nullptr) records = record::hold(plugin.name, request);
  plugin.del(request);
  for (const record::Held& held : records) held.remove();
}

void gc(const Plugin& plugin, const Request& request) {
  ValidAttachments attachments = request.conf.valid_attachments();
  if (!attachments) return;  // nothing is known: nothing may be taken away
  const OwnerSet valid(request.conf.name, *std::move(attachments));
  std::vector<record::Held> records;
  if (plugin.restore != nullptr) {
    records = record::hold_others(plugin.name, request.conf.name, valid);
  }
  plugin.gc(request, valid);
  for (const record::Held& held : records) held.remove();
}

/// What stands in the way of an ADD has one code; what is wrong with the call keeps its own.
void status(const Plugin& plugin, const Request& request) {
  try {
    plugin.status(request);
  } catch (const Error& error) {
    switch (error.code()) {
      case ErrorCode::kIo:
      case ErrorCode::kKernel:
      case ErrorCode::kMismatch:
      case ErrorCode::kConflict:
      case ErrorCode::kDelegate:
        throw Error(ErrorCode::kNotAvailable, error.msg(), error.details());
      default:
        throw;
    }
  }
}

/// Does nothing for an attachment that has been deleted meanwhile.
void restore(const Plugin& plugin, const Request& request) {
  const std::vector<record::Held> records = record::hold(plugin.name, request);
  if (!records.empty()) plugin.restore(request);
}

std::string dispatch(const Plugin& plugin, const Request& request) {
  const log::Step timed("verb");
  switch (request.command) {
    case Command::kAdd:
      return add(plugin, request);
    case Command::kDel:
      del(plugin, request);
      break;
    case Command::kCheck:
      plugin.check(request);
      break;
    case Command::kGc:
      gc(plugin, request);
      break;
    case Command::kStatus:
      status(plugin, request);
      break;
    case Command::kRestore:
      restore(plugin, request);
      break;
    case Command::kVersion:
      return version_json();
  }
  return {};
}

int report(const Error& error, SpecVersion version, std::string& out) {
  log::error(error.what());
  out = error_object(error, version);
  return 1;
}

std::string real_input() {
  try {
    return read_all(STDIN_FILENO, "stdin");
  } catch (const KernelError& error) {
    throw Error(ErrorCode::kIo, concat("error reading from stdin: ", error.what()));
  }
}

/// A descriptor 0, 1 or 2 that the caller closed would become our next file or socket, and our
/// output would go there. Occupied by the wrong end of a pipe it fails reads and writes as a closed
/// one does.
void occupy_standard_descriptors() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    int ends[2];
    if (::pipe(ends) != 0) continue;
    const int wrong_end = fd == STDIN_FILENO ? ends[1] : ends[0];
    const int other_end = fd == STDIN_FILENO ? ends[0] : ends[1];
    if (wrong_end == fd) {
      ::close(other_end);
      continue;
    }
    ::dup2(wrong_end, fd);
    for (const int end : ends) {
      if (end != fd) ::close(end);
    }
  }
}

}  // namespace

std::string error_object(const Error& error, SpecVersion version) {
  Json out = Json::object();
  out.set("cniVersion", text(version));
  out.set("code", static_cast<unsigned>(error.code()));
  out.set("msg", error.msg());
  if (!error.details().empty()) out.set("details", error.details());
  return out.dump(kIndent);
}

int run(const Plugin& plugin, const Environment& environment,
        const std::function<std::string()>& read_input, std::string& out, std::string& err) {
  SpecVersion version = kLatestVersion;
  Request request;
  try {
    if (environment.get("CNI_COMMAND").empty()) {
      err = concat("CNI ", plugin.name, " plugin cnipp " CNIPP_VERSION "\n",
                   "CNI protocol versions supported: ", version_list(", ", false), "\n");
      return 0;
    }
    ParsedEnvironment parsed = parse_environment(environment);
    request = std::move(parsed.request);
    if (parsed.command == Command::kVersion) {
      out = version_json();
      return 0;
    }
    parse_input(request, read_input());
    version = request.conf.version;
    if (!parsed.command || (parsed.command == Command::kRestore && plugin.restore == nullptr)) {
      throw Error(ErrorCode::kInvalidEnvironment,
                  concat("unknown CNI_COMMAND: ", parsed.command_text));
    }
    configure_log(plugin, request);
    start_deadline(request);
    out = dispatch(plugin, request);
    return 0;
  } catch (const Error& error) {
    // A version that was readable is the one to answer in, also when the rest was not.
    if (request.conf.version != SpecVersion::k010) version = request.conf.version;
    return report(error, version, out);
  } catch (const std::bad_alloc&) {
    return report(Error(ErrorCode::kInternal, "out of memory"), version, out);
  } catch (const std::exception& error) {
    return report(Error(ErrorCode::kInternal, error.what()), version, out);
  } catch (...) {
    return report(Error(ErrorCode::kInternal, "unknown failure"), version, out);
  }
}

int run(const Plugin& plugin) {
  occupy_standard_descriptors();
  // A runtime that went away must not kill us between two steps: writes fail instead.
  ::signal(SIGPIPE, SIG_IGN);
  const Environment environment = Environment::current();
  std::string input;
  std::string out;
  std::string err;
  const auto read_input = [&] { return input = real_input(); };
  int status = run(plugin, environment, read_input, out, err);
  try {
    write_all(STDERR_FILENO, err, "stderr");
    write_all(STDOUT_FILENO, out, "stdout");
  } catch (const Error&) {
    const bool added = status == 0 && environment.get("CNI_COMMAND") == text(Command::kAdd);
    if (added) take_back(plugin, environment, input);
    status = 1;  // nobody is left to tell
  }
  return status;
}

}  // namespace cni
