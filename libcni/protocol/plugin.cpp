// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/plugin.h"

#include <charconv>
#include <exception>
#include <new>
#include <optional>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"
#include "protocol/record.h"

#ifndef CNIPP_VERSION
#define CNIPP_VERSION "unknown"
#endif

namespace cni {
namespace {

constexpr int kIndent = 4;
constexpr std::string_view kTimeout = "CNI_TIMEOUT_SECONDS";
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

/// nullopt for what is no number of seconds in range.
std::optional<std::chrono::seconds> parse_seconds(std::string_view text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || seconds < 1 || seconds > kMaxTimeoutSeconds) return std::nullopt;
  return std::chrono::seconds(seconds);
}

/// Until the configuration is known.
std::chrono::seconds time_to_read(const Request& request) {
  return parse_seconds(request.environment.get(kTimeout)).value_or(Deadline::kDefault);
}

std::chrono::seconds time_limit(const Request& request) {
  const std::string from_environment = request.environment.get(kTimeout);
  if (from_environment.empty()) {
    return std::chrono::seconds(request.conf.root()["timeoutSeconds"].int_or(
        Deadline::kDefault.count(), 1, kMaxTimeoutSeconds));
  }
  const auto seconds = parse_seconds(from_environment);
  if (!seconds) {
    throw Error(ErrorCode::kInvalidEnvironment,
                concat(kTimeout, ": must be between 1 and ", kMaxTimeoutSeconds, ", got ",
                       quote(from_environment)));
  }
  return *seconds;
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
    Deadline::start(time_to_read(request));
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

}  // namespace cni
