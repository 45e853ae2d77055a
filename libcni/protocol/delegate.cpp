// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/delegate.h"

#include <sys/stat.h>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "protocol/suite.h"

namespace cni {
namespace {

constexpr std::size_t kMaxQuoted = 1000;

std::string ipam_type(const Request& request) {
  try {
    return request.conf.root()["ipam"]["type"].string_or("");
  } catch (const Error&) {
    // What ADD refuses has nothing to be cleaned up.
    if (request.command == Command::kDel || request.command == Command::kGc) return {};
    throw;
  }
}

std::string said(std::string_view words) {
  return words.empty() ? "" : concat(", stderr: ", words);
}

struct Found {
  std::string path;
  struct stat info {};
};

Found find(std::string_view type, std::string_view search_path) {
  if (!is_valid_plugin_type(type)) {
    throw Error(ErrorCode::kInvalidConfig, concat("invalid plugin name: ", quote(type)));
  }
  if (search_path.empty()) {
    throw Error(ErrorCode::kInvalidEnvironment, "required env variables [CNI_PATH] missing",
                concat("needed to find plugin ", quote(type)));
  }
  std::string_view rest = search_path;
  for (;;) {
    const auto colon = rest.find(':');
    const std::string_view dir = rest.substr(0, colon);
    Found found{concat(dir, dir.empty() ? "" : "/", type)};
    if (::stat(found.path.c_str(), &found.info) == 0 && S_ISREG(found.info.st_mode)) return found;
    if (colon == rest.npos) break;
    rest.remove_prefix(colon + 1);
  }
  throw Error(ErrorCode::kDelegate,
              concat("failed to find plugin ", quote(type), " in path ", quote(search_path)));
}

/// `verb` runs the verb of a plugin of our own file.
void run_ipam(const Request& request, Command command,
              const std::function<void(const Plugin&)>& verb) {
  const std::string type = ipam_type(request);
  if (type.empty()) return;
  const log::Step timed(concat("ipam ", type, " ", text(command)));
  const Found found = find(type, request.path);
  if (const Plugin* const plugin = suite::at(found.info, type)) {
    const log::As as(type);
    verb(*plugin);
  } else {
    Delegate::start(found.path, request, type, command).wait();
  }
}

ipam::Pending start(const Request& request, const std::string& type, Rollback& rollback) {
  const auto undo = [&request] { ipam::del(request); };
  const Found found = find(type, request.path);
  if (const Plugin* const plugin = suite::at(found.info, type)) {
    rollback.on_failure("release addresses", undo);
    const log::Step timed(concat("ipam ", type, " ADD"));
    const log::As as(type);
    return plugin->add(request);
  }
  Delegate pending = Delegate::start(found.path, request, type, Command::kAdd);
  rollback.on_failure("release addresses", undo);
  return pending;
}

}  // namespace

std::string find_plugin(std::string_view type, std::string_view search_path) {
  return find(type, search_path).path;
}

void require_success(std::string_view plugin, const ExitStatus& status, const std::string& output,
                     std::string_view words) {
  if (status.ok()) return;
  if (output.empty()) {
    throw Error(ErrorCode::kDelegate,
                concat("plugin ", quote(plugin), " failed with no error message"),
                concat(status.text(), said(words)));
  }
  std::optional<Error> own;
  try {
    const Json document = Json::parse(output);
    const JsonRef root = document.root();
    own.emplace(static_cast<ErrorCode>(root["code"].int_or(0, 0, 0xffffffff)),
                root["msg"].string_or(""), root["details"].string_or(""));
  } catch (const Error& error) {
    throw Error(ErrorCode::kDelegate,
                concat("plugin ", quote(plugin), " failed (", status.text(),
                       ") and its output is no CNI error"),
                concat(error.what(), ": ", quote(std::string_view(output).substr(0, kMaxQuoted)),
                       said(words)));
  }
  throw *own;
}

Delegate Delegate::start(const std::string& path, const Request& request, std::string_view type,
                         Command command) {
  Environment environment = request.environment;
  environment.set("CNI_COMMAND", text(command));
  return Delegate(Child::start(path, {path}, environment.entries(), request.input),
                  std::string(type), request.conf.version);
}

void Delegate::wait() {
  std::string output;
  const ExitStatus status = child_.wait(output);
  require_success(type_, status, output, child_.words());
}

Result Delegate::wait_result() {
  std::string output;
  const ExitStatus status = child_.wait(output);
  require_success(type_, status, output, child_.words());
  try {
    return parse_result(Json::parse(output).root(), version_);
  } catch (const Error& error) {
    throw Error(ErrorCode::kDelegate,
                concat("plugin ", quote(type_), " succeeded but its output is no CNI result"),
                concat(error.what(), ": ", quote(std::string_view(output).substr(0, kMaxQuoted))));
  }
}

namespace ipam {

bool uses_link(const Request& request) { return suite::uses_link(ipam_type(request)); }

std::optional<Pending> start_add(const Request& request, Rollback& rollback) {
  const std::string type = ipam_type(request);
  if (type.empty()) return std::nullopt;
  if (suite::uses_link(type)) {
    static_cast<void>(find(type, request.path));  // before anything is made
    return Later{&request, &rollback};
  }
  return start(request, type, rollback);
}

Result finish_add(Pending& pending) {
  if (const auto* const later = std::get_if<Later>(&pending)) {
    Pending begun = start(*later->request, ipam_type(*later->request), *later->rollback);
    return finish_add(begun);
  }
  Result result;
  if (auto* const delegate = std::get_if<Delegate>(&pending)) {
    const log::Step timed("wait for ipam");
    result = delegate->wait_result();
  } else {
    result = std::get<Result>(std::move(pending));
  }
  drop_unspecified_gateways(result);
  if (result.ips.empty()) {
    throw Error(ErrorCode::kDelegate, "IPAM plugin returned missing IP config");
  }
  return result;
}

void check(const Request& request) {
  run_ipam(request, Command::kCheck, [&](const Plugin& plugin) { plugin.check(request); });
}

void del(const Request& request) {
  run_ipam(request, Command::kDel, [&](const Plugin& plugin) { plugin.del(request); });
}

void gc(const Request& request, const OwnerSet& valid) {
  run_ipam(request, Command::kGc, [&](const Plugin& plugin) { plugin.gc(request, valid); });
}

void status(const Request& request) {
  run_ipam(request, Command::kStatus, [&](const Plugin& plugin) { plugin.status(request); });
}

}  // namespace ipam
}  // namespace cni
