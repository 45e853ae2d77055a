// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "accept_firewalld.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file_lock.h"
#include "base/log.h"
#include "base/rollback.h"
#include "dbus/system_bus.h"

namespace cni::firewall::firewalld {
namespace {

using dbus::Answer;
using dbus::SystemBus;

constexpr const char* kName = "org.fedoraproject.FirewallD1";
constexpr const char* kFolder = "/run/cnipp/firewalld";
constexpr std::chrono::milliseconds kProbePatience{2000};

/// What is known of a source of ours.
struct Record {
  std::string address, zone, label;
  [[nodiscard]] std::string_view tag() const { return Owner::tag_of(label); }
};

std::string path_of(std::string_view address) { return concat(kFolder, "/", address); }

/// Of the records. What removes sources goes on without it where it cannot be had.
constexpr std::string_view kLock = "firewalld";

void write_record(const Record& record) {
  const std::string path = path_of(record.address);
  const std::string content = concat(record.zone, "\n", record.label, "\n");
  const Fd old = open_file_if_exists(path, O_RDONLY);
  if (old.valid() && read_all(old.get(), path) == content) return;
  write_file_unnamed(path, content, 0600, 0700);
}

void delete_record(std::string_view address) {
  const std::string path = path_of(address);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno(concat("delete ", path));
}

std::optional<Record> find_record(const std::string& address) {
  const std::string path = path_of(address);
  const Fd fd = open_file_if_exists(path, O_RDONLY);
  if (!fd.valid()) return std::nullopt;
  const std::string content = read_all(fd.get(), path);
  const auto end = content.find('\n');
  if (end == std::string::npos) return std::nullopt;
  return Record{address, content.substr(0, end), content.substr(end + 1, content.size() - end - 2)};
}

std::vector<Record> list_records() {
  std::vector<Record> out;
  struct Close {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
  };
  const std::unique_ptr<DIR, Close> folder(::opendir(kFolder));
  if (!folder) return out;
  while (const dirent* const entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (!IpAddress::try_parse(name)) {
      // What an interrupted write left: nobody writes while we hold the lock.
      if (name != "." && name != "..") delete_record(name);
      continue;
    }
    if (auto record = find_record(name)) out.push_back(*std::move(record));
  }
  return out;
}

/// With the prefix, as the reference writes it: for firewalld that is another source than without.
Answer call_zone(SystemBus& bus, const std::string& member, const std::string& zone,
                 const std::string& address) {
  const std::string source = IpNet::host(IpAddress::parse(address)).text();
  return bus.call({kName,
                   "/org/fedoraproject/FirewallD1",
                   "org.fedoraproject.FirewallD1.zone",
                   member,
                   {zone, source}});
}

/// firewalld's codes begin the text of its errors.
bool says(const Answer& answer, std::string_view code) {
  return answer.refusal && answer.refusal->text.find(code) != std::string::npos;
}

bool is_absent(const Answer& answer) {
  return answer.refusal && (answer.refusal->name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
                            answer.refusal->name == "org.freedesktop.DBus.Error.NameHasNoOwner");
}

/// The bus or firewalld does not let this caller do it.
bool is_forbidden(const Answer& answer) {
  return answer.refusal && (answer.refusal->name == "org.freedesktop.DBus.Error.AccessDenied" ||
                            answer.refusal->name.find("NotAuthorized") != std::string::npos);
}

[[noreturn]] void not_running() {
  throw Error(ErrorCode::kNotAvailable, "firewalld is not running",
              concat("nobody owns ", kName, " on the system's message bus"));
}

[[noreturn]] void refused(std::string_view what, const Answer& answer) {
  if (is_absent(answer)) not_running();
  const ErrorCode code = says(answer, "ZONE_CONFLICT") ? ErrorCode::kConflict : ErrorCode::kKernel;
  throw Error(code, concat("firewalld: ", what),
              concat(answer.refusal->name, ": ", answer.refusal->text));
}

SystemBus connect() {
  auto bus = SystemBus::connect();
  if (!bus) {
    throw Error(ErrorCode::kNotAvailable, "firewalld is not running",
                "nothing listens at the address of the system's message bus");
  }
  return *std::move(bus);
}

/// Gone counts as removed; what is not recorded, and may not be asked for, is not ours.
void remove_source(SystemBus& bus, const std::string& zone, const std::string& address,
                   bool recorded = true) {
  const Answer answer = call_zone(bus, "removeSource", zone, address);
  // An administrator has put it into another zone, or removed the zone, meanwhile.
  const bool gone = says(answer, "UNKNOWN_SOURCE") || says(answer, "ZONE_CONFLICT") ||
                    says(answer, "INVALID_ZONE") || is_absent(answer) ||
                    (!recorded && is_forbidden(answer));
  if (answer.refusal && !gone) {
    refused(concat("cannot remove source ", address, " from zone ", quote(zone)), answer);
  }
}

/// Removes sources and then what is recorded of them; the bus is asked for when there are any.
void remove_all(const std::vector<Record>& records) {
  if (records.empty()) return;
  auto bus = SystemBus::connect();
  ErrorList errors;
  for (const Record& record : records) {
    errors.attempt("remove a source of firewalld", [&] {
      if (bus) remove_source(*bus, record.zone, record.address, !record.label.empty());
      delete_record(record.address);
    });
  }
  errors.throw_if_any();
}

bool is_source(SystemBus& bus, const std::string& zone, const std::string& address) {
  const Answer answer = call_zone(bus, "querySource", zone, address);
  if (answer.refusal) {
    refused(concat("cannot ask for source ", address, " in zone ", quote(zone)), answer);
  }
  return answer.flag.value_or(false);
}

void add_source(SystemBus& bus, const Record& record, Rollback& rollback) {
  const auto old = find_record(record.address);
  // Shared with the undo: what was refused is not there.
  const auto refusal = std::make_shared<bool>(false);
  const bool known = old && old->tag() == record.tag() && old->zone == record.zone;
  if (old && old->tag() != record.tag()) {
    log::warn(concat("source ", record.address, " of firewalld belonged to ", quote(old->label),
                     ": replaced"));
  }
  if (!known) {
    rollback.on_failure("remove a source of firewalld", [&bus, record, refusal] {
      if (!*refusal) remove_source(bus, record.zone, record.address);
      delete_record(record.address);
    });
    // First: what is there and not recorded would never be found again.
    write_record(record);
  }
  const Answer answer = call_zone(bus, "addSource", record.zone, record.address);
  if (answer.refusal && !says(answer, "ZONE_ALREADY_SET")) {
    *refusal = true;
    refused(concat("cannot add source ", record.address, " to zone ", quote(record.zone)), answer);
  }
}

}  // namespace

bool is_running(bool expected) {
  try {
    auto bus = SystemBus::connect(expected ? std::nullopt : std::optional(kProbePatience));
    if (!bus || !bus->has_owner(kName)) return false;
    const Answer answer = call_zone(*bus, "querySource", "trusted", "127.0.0.1");
    if (!is_forbidden(answer)) return true;
    log::error(concat("firewalld refuses what it is asked: ", answer.refusal->text));
    return false;
  } catch (const Error& error) {
    if (expected) throw;
    log::warn(concat("taken for a host without firewalld: ", error.what()));
    return false;
  }
}

void require_running() {
  if (!connect().has_owner(kName)) not_running();
}

void add(const Owner& owner, const std::vector<IpAddress>& addresses, const std::string& zone) {
  if (addresses.empty()) return;
  const FileLock lock = FileLock::of_suite(kLock);
  SystemBus bus = connect();
  Rollback rollback;
  for (const IpAddress& address : addresses) {
    add_source(bus, {address.text(), zone, owner.label({}, 4096)}, rollback);
  }
  rollback.commit();
}

void remove(const Owner& owner, const std::vector<IpAddress>& likely, const std::string& zone) {
  const bool recorded = ::access(kFolder, F_OK) == 0;
  if (!recorded && (likely.empty() || zone.empty())) return;
  const auto lock = FileLock::of_suite_if_possible(kLock);
  std::vector<Record> own, unknown;
  for (const IpAddress& address : likely) {
    auto record = find_record(address.text());
    if (!record) {
      unknown.push_back({address.text(), zone, {}});
    } else if (record->tag() == owner.tag()) {
      own.push_back(*std::move(record));
    }
  }
  if (own.empty()) {
    own = list_records();
    std::erase_if(own, [&](const Record& record) { return record.tag() != owner.tag(); });
  }
  if (own.empty() && !zone.empty()) own = unknown;
  remove_all(own);
}

void check(const Owner& owner, const std::vector<IpAddress>& addresses, const std::string& zone) {
  if (addresses.empty()) return;
  SystemBus bus = connect();
  for (const IpAddress& address : addresses) {
    const auto differs = [&](std::string_view what) {
      throw Error(ErrorCode::kMismatch, concat("firewalld: source ", address.text(), " ", what));
    };
    if (!is_source(bus, zone, address.text())) differs(concat("is not in zone ", quote(zone)));
    const auto record = find_record(address.text());
    if (record && record->tag() != owner.tag()) {
      differs(concat("belongs to ", quote(record->label)));
    }
  }
}

void collect(std::string_view network, const std::function<bool(std::string_view tag)>& keep) {
  if (::access(kFolder, F_OK) != 0) return;
  const auto lock = FileLock::of_suite_if_possible(kLock);
  const std::string prefix = Owner::network_tag(network);
  std::vector<Record> dead = list_records();
  std::erase_if(dead, [&](const Record& record) {
    return !record.label.starts_with(prefix) || keep(record.tag());
  });
  remove_all(dead);
}

}  // namespace cni::firewall::firewalld
