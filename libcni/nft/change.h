// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <functional>
#include <string_view>

#include "nft/transaction.h"

/// How the ruleset is changed while others change it, too.
namespace cni::nft {

/// Looks (or not) and adds commands to the transaction.
using Fill = std::function<void(Transaction&)>;

/// Carries out what `fill` puts together, if nobody has changed the ruleset since it began to look;
/// else it is called again. Nothing is sent when it adds nothing. After a few times it takes a
/// lock, behind which the others of this suite then queue up before their first attempt. Any
/// refusal throws KernelError; too many changes of others, or the deadline, Error{kTryAgain}.
void change(netlink::Socket& socket, std::string_view what, const Fill& fill);

/// As change, but what `quick` puts together without a look is tried first: whatever the refusal
/// says, `fill` then looks.
void change(netlink::Socket& socket, std::string_view what, const Fill& quick, const Fill& fill);

/// As change, but false when something still refers to what was to be deleted (EBUSY).
bool change_unless_busy(netlink::Socket& socket, std::string_view what, const Fill& fill);

/// Throws what the kernel says against these commands; changes nothing.
void rehearse(netlink::Socket& socket, Transaction transaction);

}  // namespace cni::nft
