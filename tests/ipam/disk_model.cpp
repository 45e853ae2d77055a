// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "ipam/disk_model.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/concat.h"
#include "ipam/fixture.h"
#include "support/catch.h"

namespace cni::test {

namespace fs = std::filesystem;

namespace {

/// Whether the later change makes sure of the earlier one.
bool makes_durable(const Change& later, const Change& earlier) {
  if (later.kind != Change::Kind::kSync) return false;
  return later.node < 0 || later.node == (earlier.in_inode() ? earlier.node : earlier.directory);
}

/// Calls visit(fates of the changes, what was chosen) for every choice of what became of those that
/// `open` names.
void each_choice(
    const std::vector<Change>& changes, const std::vector<std::size_t>& open, std::size_t count,
    const std::function<void(const std::vector<Fate>& fates, const std::string& choice)>& visit) {
  const auto choose = [&](Fate others, std::size_t one, Fate its, const std::string& choice) {
    std::vector<Fate> fates(count, Fate::kKept);
    for (const std::size_t i : open) fates[i] = i == one ? its : others;
    visit(fates, one < count ? concat(choice, changes[one].text()) : choice);
  };
  const auto choose_data = [&](Fate its, const std::string& choice) {
    std::vector<Fate> fates(count, Fate::kKept);
    for (const std::size_t i : open) {
      if (changes[i].kind == Change::Kind::kData) fates[i] = its;
    }
    visit(fates, choice);
  };
  choose(Fate::kKept, count, Fate::kKept, "all is there");
  choose(Fate::kLost, count, Fate::kLost, "nothing is there");
  choose_data(Fate::kLost, "no data");
  choose_data(Fate::kZeroed, "zeros for data");
  choose_data(Fate::kHalf, "half of all data");
  std::set<int> inodes;
  for (const std::size_t i : open) {
    if (changes[i].in_inode()) inodes.insert(changes[i].node);
  }
  for (const int node : inodes) {
    std::vector<Fate> fates(count, Fate::kKept);
    for (const std::size_t i : open) {
      if (changes[i].in_inode() && changes[i].node == node) fates[i] = Fate::kLost;
    }
    visit(fates, concat("only its name is left of node ", node));
  }
  for (const std::size_t i : open) {
    choose(Fate::kKept, i, Fate::kLost, "lost: ");
    choose(Fate::kLost, i, Fate::kKept, "nothing but: ");
    if (changes[i].kind != Change::Kind::kData) continue;
    choose(Fate::kKept, i, Fate::kZeroed, "zeros: ");
    choose(Fate::kKept, i, Fate::kHalf, "half: ");
  }
}

int read_node(Disk& disk, const fs::path& path, const std::string& attribute) {
  const int number = disk.nodes.empty() ? Disk::kRoot : disk.nodes.rbegin()->first + 1;
  disk.nodes[number] = {};
  struct stat info {};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  Disk::Node node{.directory = S_ISDIR(info.st_mode), .mode = info.st_mode & 07777};
  if (node.directory) {
    node.modified = info.st_mtim;
    for (const auto& entry : fs::directory_iterator(path)) {
      node.entries[entry.path().filename().string()] = read_node(disk, entry.path(), attribute);
    }
  } else {
    REQUIRE(S_ISREG(info.st_mode));
    node.content = read_text(path);
    char value[256];
    const ssize_t size = ::getxattr(path.c_str(), attribute.c_str(), value, sizeof value);
    if (size > 0) node.attributes[attribute].assign(value, static_cast<std::size_t>(size));
  }
  disk.nodes[number] = std::move(node);
  return number;
}

void write_entries(const Disk& disk, const Disk::Node& directory, const fs::path& path) {
  for (const auto& [name, number] : directory.entries) {
    const Disk::Node& node = disk.nodes.at(number);
    const fs::path where = path / name;
    if (node.directory) {
      fs::create_directory(where);
      write_entries(disk, node, where);
    } else {
      write_text(where, node.content);
      for (const auto& [attribute, value] : node.attributes) {
        REQUIRE(::setxattr(where.c_str(), attribute.c_str(), value.data(), value.size(), 0) == 0);
      }
    }
    REQUIRE(::chmod(where.c_str(), node.mode) == 0);
    if (!node.modified) continue;
    const timespec times[2] = {{0, UTIME_OMIT}, *node.modified};
    REQUIRE(::utimensat(AT_FDCWD, where.c_str(), times, 0) == 0);
  }
}

std::string text_of(const Disk& disk, const Disk::Node& node, bool with_times) {
  if (!node.directory) {
    std::string out = concat(node.content.size(), ":", node.content);
    for (const auto& [name, value] : node.attributes) out += concat(" ", name, "=", value);
    return out;
  }
  std::string out = "{";
  if (with_times && node.modified) {
    out += concat(node.modified->tv_sec, ".", node.modified->tv_nsec, " ");
  }
  for (const auto& [name, number] : node.entries) {
    out += concat(name, "=", text_of(disk, disk.nodes.at(number), with_times), "\n");
  }
  return out + "}";
}

}  // namespace

Disk Disk::read(const fs::path& root, const std::string& attribute) {
  Disk out;
  read_node(out, root, attribute);
  return out;
}

void Disk::write(const fs::path& root, const fs::path& aside) const {
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_directory()) {
      for (const auto& inside : fs::directory_iterator(entry)) fs::remove_all(inside);
      fs::rename(entry, aside / entry.path().filename());
    } else {
      fs::remove(entry);
    }
  }
  const Node& top = nodes.at(kRoot);
  for (const auto& entry : fs::directory_iterator(aside)) {
    const fs::path name = entry.path().filename();
    if (top.entries.contains(name.string())) fs::rename(entry, root / name);
  }
  write_entries(*this, top, root);
}

std::string Disk::text(Times times) const {
  return text_of(*this, nodes.at(kRoot), times == Times::kYes);
}

std::string Change::text() const {
  switch (kind) {
    case Kind::kName:
      return concat("the name ", name);
    case Kind::kUnname:
      return concat("that the name ", name, " is gone");
    case Kind::kData:
      return concat(content.size(), " bytes of node ", node);
    case Kind::kSize:
      return concat("the size of node ", node);
    case Kind::kAttribute:
      return concat("the attribute of node ", node);
    case Kind::kTime:
      return concat("the time of node ", node);
    default:
      return "sync";
  }
}

void apply(Disk& disk, const Change& change, Fate fate) {
  using Kind = Change::Kind;
  if (fate == Fate::kLost || change.kind == Kind::kSync) return;
  Disk::Node& node = disk.nodes.at(change.node);
  switch (change.kind) {
    case Kind::kName:
      disk.nodes.at(change.directory).entries[change.name] = change.node;
      break;
    case Kind::kUnname:
      disk.nodes.at(change.directory).entries.erase(change.name);
      break;
    case Kind::kData: {
      std::string data = change.content;
      if (fate == Fate::kZeroed) data.assign(data.size(), '\0');
      if (fate == Fate::kHalf) data.resize(data.size() / 2);
      node.content.resize(std::max(node.content.size(), change.offset + data.size()));
      node.content.replace(change.offset, data.size(), data);
      break;
    }
    case Kind::kSize:
      node.content.resize(change.offset);
      break;
    case Kind::kAttribute:
      node.attributes[change.name] = change.content;
      break;
    default:
      node.modified = change.time;
  }
}

void each_power_cut(const Disk& before, const std::vector<Change>& changes,
                    const std::function<void(const std::string&, const Disk&)>& visit) {
  std::set<std::string> seen;
  for (std::size_t count = 0; count <= changes.size(); ++count) {
    const auto begin = changes.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    std::vector<std::size_t> open;  // what is not synced yet
    for (std::size_t i = 0; i < count; ++i) {
      const Change& change = changes[i];
      const bool durable =
          std::any_of(begin + static_cast<std::ptrdiff_t>(i), end,
                      [&](const Change& later) { return makes_durable(later, change); });
      if (!durable && change.kind != Change::Kind::kSync) open.push_back(i);
    }
    each_choice(changes, open, count, [&](const std::vector<Fate>& fates, const auto& choice) {
      Disk disk = before;
      for (std::size_t i = 0; i < count; ++i) apply(disk, changes[i], fates[i]);
      if (!seen.insert(disk.text(Disk::Times::kYes)).second) return;
      visit(concat("after ", count, " of ", changes.size(), " changes, ", choice), disk);
    });
  }
}

}  // namespace cni::test
