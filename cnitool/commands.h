// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include "options.h"

/// The subcommands. They report by throwing cni::Error.
namespace cnitool {

void add(const Options& options);
void check(const Options& options);
void del(const Options& options);
void gc(const Options& options);
void status(const Options& options);
void reload(const Options& options);
void version(const Options& options);
void list(const Options& options);
void show(const Options& options);
void ipam_show(const Options& options);
void ipam_free(const Options& options);

}  // namespace cnitool
