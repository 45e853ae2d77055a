// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <sys/stat.h>

#include <span>
#include <string_view>

#include "protocol/plugin.h"

/// One file, many plugins: each has a name in the plugin folder that leads to the same file, and
/// which of them runs is told by the name it is called by.
namespace cni::suite {

/// For main(): runs the plugin that the last component of argv[0] names, or else argv[1], for the
/// calling process (run() in protocol/process.h), or its daemon when the next word is "daemon".
/// Another name is a CNI error, code 4.
int run(std::span<const Plugin* const> plugins, std::span<const char* const> argv);

/// The plugin `type` of this process's own file when `file`, which a delegate of that name was
/// found to be, is this very file (same device and inode): no process is needed to run it. nullptr
/// when it is another file, or when /proc is not there to tell.
[[nodiscard]] const Plugin* at(const struct stat& file, std::string_view type) noexcept;

/// Plugin::uses_link of the plugin of that name, whoever's file will be called.
[[nodiscard]] bool uses_link(std::string_view type) noexcept;

}  // namespace cni::suite
