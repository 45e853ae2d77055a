// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "runtime/cache.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/base64.h"

namespace cni {
namespace {

constexpr std::string_view kKind = "cniCacheV1";

Json to_json(const CachedAttachment& entry) {
  Json out = Json::object();
  out.set("kind", kKind);
  out.set("containerId", entry.args.container_id);
  out.set("config", encode_base64(entry.config));
  out.set("ifName", entry.args.ifname);
  out.set("networkName", entry.network);
  if (!entry.args.netns.empty()) out.set("netns", entry.args.netns);
  if (!entry.args.args.empty()) {
    Json pairs = Json::array();
    for (const auto& [key, value] : entry.args.args) pairs.push(std::vector{key, value});
    out.set("cniArgs", std::move(pairs));
  }
  if (entry.args.capability_args.size() > 0) out.set("capabilityArgs", entry.args.capability_args);
  if (entry.result.root().present()) out.set("result", entry.result);
  return out;
}

bool is_entry(const JsonRef& root) {
  return root.is_object() && root["kind"].is_string() && root["kind"].string() == kKind;
}

CachedAttachment parse_entry(const JsonRef& root) {
  CachedAttachment out;
  out.network = root["networkName"].string_or("");
  out.args.container_id = root["containerId"].string_or("");
  out.args.ifname = root["ifName"].string_or("");
  out.args.netns = root["netns"].string_or("");
  for (const JsonRef& pair : root["cniArgs"].items()) {
    const std::vector<std::string> parts = pair.strings();
    if (parts.size() != 2) pair.fail("expected a key and a value");
    out.args.args.emplace_back(parts[0], parts[1]);
  }
  const JsonRef capability_args = root["capabilityArgs"];
  if (capability_args.present() && !capability_args.is_object()) {
    capability_args.fail("expected an object");
  }
  if (capability_args.present()) out.args.capability_args = Json(capability_args);
  out.config = decode_base64(root["config"].string_or("")).value_or("");
  out.result = Json(root["result"]);
  return out;
}

}  // namespace

void require_valid_names(std::string_view network, const Attachment& attachment) {
  if (attachment.container_id.empty()) {
    throw Error(ErrorCode::kUnknownContainer, "missing containerID");
  }
  if (!is_valid_name(attachment.container_id)) {
    throw Error(ErrorCode::kInvalidEnvironment, "invalid characters in containerID",
                quote(attachment.container_id));
  }
  if (network.empty()) throw Error(ErrorCode::kInvalidConfig, "missing network name");
  if (!is_valid_name(network)) {
    throw Error(ErrorCode::kInvalidConfig, "invalid characters found in network name",
                quote(network));
  }
  if (const auto problem = interface_name_problem(attachment.ifname)) {
    throw Error(ErrorCode::kInvalidEnvironment, problem->first, problem->second);
  }
}

std::string ResultCache::file(std::string_view network, const Attachment& attachment) const {
  require_valid_names(network, attachment);
  return concat(directory_, "/results/", network, "-", attachment.container_id, "-",
                attachment.ifname);
}

void ResultCache::require_storable(std::string_view network, const Attachment& attachment) const {
  const std::string path = file(network, attachment);
  const std::size_t length = path.size() - path.rfind('/') - 1;
  if (length > NAME_MAX) {
    throw Error(ErrorCode::kInvalidEnvironment,
                concat("network name and container id are too long for a cache file: ", length,
                       " bytes, at most ", NAME_MAX),
                quote(path));
  }
}

void ResultCache::store(const CachedAttachment& entry) const {
  const std::string path = file(entry.network, entry.args.attachment());
  make_directories(concat(directory_, "/results"), 0700);
  write_file_atomically(path, to_json(entry).dump(), 0600, Sync::kData);
}

std::optional<CachedAttachment> ResultCache::find(std::string_view network,
                                                  const Attachment& attachment) const {
  const std::string path = file(network, attachment);
  const Fd fd = open_file_if_exists(path, O_RDONLY);
  if (!fd.valid()) return std::nullopt;
  try {
    const Json document = Json::parse(read_all(fd.get(), quote(path)));
    if (is_entry(document.root())) return parse_entry(document.root());
    if (document.root().is_object()) {
      CachedAttachment bare;
      bare.network = network;
      bare.args.container_id = attachment.container_id;
      bare.args.ifname = attachment.ifname;
      bare.result = document;
      return bare;
    }
    throw Error(ErrorCode::kDecode, "expected a JSON object");
  } catch (const Error& error) {
    throw Error(ErrorCode::kDecode, concat("cache file ", quote(path), ": ", error.msg()),
                error.details());
  }
}

bool ResultCache::contains(std::string_view network, const Attachment& attachment) const {
  struct stat info {};
  return ::stat(file(network, attachment).c_str(), &info) == 0;
}

void ResultCache::remove_if_exists(std::string_view network, const Attachment& attachment) const {
  const std::string path = file(network, attachment);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) {
    throw_errno(concat("remove cache file ", quote(path)));
  }
}

std::vector<CachedAttachment> ResultCache::list() const {
  const std::filesystem::path results = concat(directory_, "/results");
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(results, error), end; !error && entry != end;
       entry.increment(error)) {
    files.push_back(entry->path().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw KernelError(error.value(), concat("read directory ", quote(results.string())), {},
                      ErrorCode::kIo);
  }
  std::ranges::sort(files);
  std::vector<CachedAttachment> out;
  for (const std::string& path : files) {
    try {
      const Json document = Json::parse(read_file(path));
      if (!is_entry(document.root())) continue;
      CachedAttachment entry = parse_entry(document.root());
      // A copy of a cache file (an editor's backup, a temporary file) is not a second attachment.
      if (path == file(entry.network, entry.args.attachment())) out.push_back(std::move(entry));
    } catch (const Error& problem) {
      log::info(concat("cache file ", quote(path), " passed over: ", problem.what()));
    }
  }
  return out;
}

}  // namespace cni
