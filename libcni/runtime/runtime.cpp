// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "runtime/runtime.h"

#include <algorithm>
#include <utility>

#include "base/concat.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rollback.h"
#include "model/result.h"
#include "protocol/delegate.h"

namespace cni {
namespace {

std::string_view verb_name(Command command) {
  switch (command) {
    case Command::kAdd:
      return "add";
    case Command::kDel:
      return "delete";
    case Command::kCheck:
      return "check";
    case Command::kGc:
      return "gc";
    case Command::kStatus:
      return "status";
    case Command::kVersion:
    case Command::kRestore:
      break;
  }
  return "version";
}

[[noreturn]] void fail_plugin(const Json& plugin, Command command, const Error& error) {
  throw Error(error.code(),
              concat("plugin ", describe_plugin(plugin), " failed (", verb_name(command),
                     "): ", error.msg()),
              error.details());
}

std::string join(const std::vector<std::pair<std::string, std::string>>& args) {
  std::string out;
  for (const auto& [key, value] : args) {
    out += concat(out.empty() ? "" : ";", key, "=", value);
  }
  return out;
}

/// A result in the version of the network, for plugins that read their own version only.
Json in_version(const Json& result, const std::string& version) {
  if (!is_supported(version)) return result;
  const SpecVersion wanted = parse_version(version);
  const Result parsed = parse_result(result.root(), wanted);
  if (result.root()["cniVersion"].string_or(version) == version) return result;
  return to_json(parsed, wanted);
}

/// The output of an ADD: an object with a cniVersion; `null` is an empty result.
Json read_result(const std::string& output, const std::string& version) {
  try {
    Json result = Json::parse(output);
    if (!result.root().written() || !result.root().present()) result = Json::object();
    if (!result.root().is_object()) throw Error(ErrorCode::kDecode, "expected a JSON object");
    const JsonRef declared = result.root()["cniVersion"];
    if (!declared.is_string() || declared.string().empty()) {
      result.set("cniVersion", version.empty() ? "0.1.0" : version);
    }
    if (is_supported(version)) {
      // Only to refuse what is no result: the document itself is handed on.
      (void)parse_result(result.root(), parse_version(version));
    }
    return result;
  } catch (const Error& error) {
    throw Error(ErrorCode::kDelegate, concat("failed to unmarshal raw result: ", error.msg()),
                error.details());
  }
}

bool same_key(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; };
    return lower(x) == lower(y);
  });
}

}  // namespace

Json plugin_config(const Network& network, const Json& plugin, const Json& prev_result,
                   const Json& capability_args) {
  Json out = plugin;
  Json runtime_config = Json::object();
  for (const auto& [capability, wanted] : plugin.root()["capabilities"].members()) {
    if (!wanted.bool_or(false)) continue;
    const JsonRef value = capability_args.root().exact(capability);
    if (value.written()) runtime_config.set(capability, Json(value));
  }
  for (const auto& [key, value] : plugin.root().members()) {
    if (same_key(key, "capabilities")) out.erase(key);
  }
  out.set("name", network.name);
  out.set("cniVersion", network.version);
  if (prev_result.root().present()) out.set("prevResult", prev_result);
  if (runtime_config.size() > 0) out.set("runtimeConfig", std::move(runtime_config));
  return out;
}

std::string Runtime::call(const Json& plugin, Command command, const AttachArgs& args,
                          const Json& config) const {
  const std::string type = plugin_type(plugin);
  const log::Step timed(concat("plugin ", type, " ", text(command)));
  Environment environment = environment_;
  environment.set("CNI_COMMAND", text(command));
  environment.set("CNI_CONTAINERID", args.container_id);
  environment.set("CNI_NETNS", args.netns);
  environment.set("CNI_IFNAME", args.ifname);
  environment.set("CNI_ARGS", join(args.args));
  environment.set("CNI_PATH", cni_path_);
  const std::string path = find_plugin(type, cni_path_);
  const RunResult ended = run_process(path, {path}, environment.entries(), config.dump());
  require_success(type, ended.status, ended.output, ended.words);
  return ended.output;
}

Json Runtime::add(const Network& network, const AttachArgs& args) const {
  cache_.require_storable(network.name, args.attachment());
  for (const Json& plugin : network.plugins) {
    try {
      (void)find_plugin(plugin_type(plugin), cni_path_);
    } catch (const Error& error) {
      fail_plugin(plugin, Command::kAdd, error);
    }
  }
  const bool known = cache_.contains(network.name, args.attachment());
  Json result;
  Json prev_result;
  Rollback rollback;
  for (const Json& plugin : network.plugins) {
    if (!known) {
      rollback.on_failure(concat("delete ", plugin_type(plugin)), [&] {
        const bool wanted = network.version_at_least("0.4.0");
        del_plugin(network, plugin, args, wanted ? prev_result : Json());
      });
    }
    try {
      const Json config = plugin_config(network, plugin, prev_result, args.capability_args);
      result = read_result(call(plugin, Command::kAdd, args, config), network.version);
      prev_result = in_version(result, network.version);
    } catch (const Error& error) {
      fail_plugin(plugin, Command::kAdd, error);
    }
  }
  try {
    cache_.store({network.name, args, network.source, result});
  } catch (const Error& error) {
    throw Error(
        error.code(),
        concat("failed to set network ", quote(network.name), " cached result: ", error.msg()),
        error.details());
  }
  rollback.commit();
  return result;
}

Json Runtime::cached_result(const Network& network, const AttachArgs& args) const {
  try {
    const auto cached = cache_.find(network.name, args.attachment());
    if (!cached || !cached->result.root().present()) return {};
    return in_version(cached->result, network.version);
  } catch (const Error& error) {
    throw Error(
        error.code(),
        concat("failed to get network ", quote(network.name), " cached result: ", error.msg()),
        error.details());
  }
}

void Runtime::check(const Network& network, const AttachArgs& args) const {
  require_valid_names(network.name, args.attachment());
  if (!network.version_at_least("0.4.0")) {
    throw Error(ErrorCode::kIncompatibleVersion,
                concat("configuration version ", quote(network.version),
                       " does not support the CHECK command"));
  }
  if (network.disable_check) return;
  const Json prev_result = cached_result(network, args);
  for (const Json& plugin : network.plugins) {
    try {
      call(plugin, Command::kCheck, args,
           plugin_config(network, plugin, prev_result, args.capability_args));
    } catch (const Error& error) {
      fail_plugin(plugin, Command::kCheck, error);
    }
  }
}

void Runtime::del_plugin(const Network& network, const Json& plugin, const AttachArgs& args,
                         const Json& prev_result) const {
  try {
    call(plugin, Command::kDel, args,
         plugin_config(network, plugin, prev_result, args.capability_args));
  } catch (const Error& error) {
    fail_plugin(plugin, Command::kDel, error);
  }
}

void Runtime::del(const Network& network, const AttachArgs& args) const {
  require_valid_names(network.name, args.attachment());
  Json prev_result;
  if (network.version_at_least("0.4.0")) {
    try {
      prev_result = cached_result(network, args);
    } catch (const Error& error) {
      // A broken file must not keep an attachment alive.
      log::warn(error.what());
    }
  }
  for (auto plugin = network.plugins.rbegin(); plugin != network.plugins.rend(); ++plugin) {
    del_plugin(network, *plugin, args, prev_result);
  }
  cache_.remove_if_exists(network.name, args.attachment());
}

void Runtime::gc(const Network& network, const ValidAttachments& valid) const {
  if (network.disable_gc) return;
  ErrorList errors;
  for (const CachedAttachment& cached : cache_.list()) {
    if (cached.network != network.name) continue;
    const Attachment attachment = cached.args.attachment();
    if (valid && std::ranges::find(*valid, attachment) != valid->end()) continue;
    errors.attempt(concat("delete attachment ", attachment.container_id, " ", attachment.ifname),
                   [&] { del(network, cached.args); });
  }
  gc_plugins(network, valid, errors);
  errors.throw_if_any();
}

void Runtime::gc_plugins(const Network& network, const ValidAttachments& valid,
                         ErrorList& errors) const {
  if (!network.version_at_least("1.1.0")) return;
  Json list = Json::array();
  for (const Attachment& attachment : valid.value_or(std::vector<Attachment>())) {
    list.push(Json::object()
                  .set("containerID", attachment.container_id)
                  .set("ifname", attachment.ifname));
  }
  for (const Json& plugin : network.plugins) {
    errors.attempt(concat("gc of plugin ", plugin_type(plugin)), [&] {
      Json config = plugin_config(network, plugin, {}, Json::object());
      if (valid) config.set("cni.dev/valid-attachments", list).set("cni.dev/attachments", list);
      try {
        call(plugin, Command::kGc, {}, config);
      } catch (const Error& error) {
        fail_plugin(plugin, Command::kGc, error);
      }
    });
  }
}

void Runtime::status(const Network& network) const {
  if (!network.version_at_least("1.1.0")) return;
  for (const Json& plugin : network.plugins) {
    try {
      call(plugin, Command::kStatus, {}, plugin_config(network, plugin, {}, Json::object()));
    } catch (const Error& error) {
      fail_plugin(plugin, Command::kStatus, error);
    }
  }
}

}  // namespace cni
