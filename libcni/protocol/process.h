// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include "protocol/plugin.h"

/// A plugin as a process: what the caller may have left closed, ignored, blocked or full.
namespace cni {

/// Signals that matter get the disposition and the mask that the code counts on, whatever the
/// caller's were: deadlines need SIGALRM, waiting for children SIGCHLD; a reader that went away and
/// a file at its limit are errors of write(2), not deaths.
void prepare_signals() noexcept;

/// run() of protocol/plugin.h for the calling process: environ, stdin, stdout, stderr. Reading and
/// writing end with the deadline; an ADD whose result could not be written is taken back. For
/// main().
int run(const Plugin& plugin);

}  // namespace cni
