// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <time.h>

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cni::test {

/// A model of a disk: files and directories, with their names apart from them.
struct Disk {
  struct Node {
    bool directory = false;
    unsigned mode = 0;
    std::string content;
    std::map<std::string, std::string> attributes;
    std::optional<timespec> modified;    // of a directory
    std::map<std::string, int> entries;  // name -> number of a node
  };
  static constexpr int kRoot = 0;

  /// What is below this directory, files with this extended attribute.
  static Disk read(const std::filesystem::path& root, const std::string& attribute);
  /// Makes the directory hold this and nothing else. A directory that is there stays the same one,
  /// with the inode it has; those that are not wanted wait for the next disk in `aside`.
  void write(const std::filesystem::path& root, const std::filesystem::path& aside) const;

  enum class Times { kNo, kYes };
  /// All that can be seen of it.
  [[nodiscard]] std::string text(Times times) const;

  std::map<int, Node> nodes;
};

/// A change that a disk may have kept or forgotten when the power fails. A system call is one or
/// several.
struct Change {
  enum class Kind { kName, kUnname, kData, kSize, kAttribute, kTime, kSync };
  Kind kind;
  int node = Disk::kRoot;  // what gets a name, what changes, what is synced; -1: everything
  int directory = Disk::kRoot;
  std::string name = {};     // of a file, of an attribute
  std::string content = {};  // what is written
  std::size_t offset = 0;    // where; or the new size
  timespec time = {};

  [[nodiscard]] std::string text() const;
  /// Of the node itself; others are of the directory.
  [[nodiscard]] bool in_inode() const { return kind != Kind::kName && kind != Kind::kUnname; }
};

/// What became of a change: data can also come as zeros, or by half.
enum class Fate { kKept, kLost, kZeroed, kHalf };

void apply(Disk& disk, const Change& change, Fate fate = Fate::kKept);

/// Shows every disk that a power cut may leave, each once: for every moment all, nothing, all but
/// one and one alone of what was not synced by then; data that came as zeros, by half, or not at
/// all; and files of which only the name is left.
void each_power_cut(const Disk& before, const std::vector<Change>& changes,
                    const std::function<void(const std::string& story, const Disk& disk)>& visit);

}  // namespace cni::test
