// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <string>
#include <string_view>

namespace cni {

enum class Sync { kNo, kData };

/// Replaces path by a file with this content: temporary file beside it, then rename. A reader sees
/// the old or the new content, never a part; with Sync::kData this holds across a power cut too. A
/// failure leaves the old file and no temporary one.
void write_file_atomically(const std::string& path, std::string_view content, unsigned mode,
                           Sync sync = Sync::kNo);

/// Replaces path by a file with this content that had no name before it was whole: whoever is
/// killed meanwhile leaves nothing, but between two steps neither the old file nor the new one may
/// be there. For file systems that have files without names: tmpfs, ext4, XFS, btrfs. The directory
/// is made where it is missing.
void write_file_unnamed(const std::string& path, std::string_view content, unsigned mode,
                        unsigned directory_mode);

/// mkdir -p. Existing directories are fine.
void make_directories(const std::string& path, unsigned mode);

}  // namespace cni
