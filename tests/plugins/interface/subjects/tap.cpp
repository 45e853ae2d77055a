// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "plugins/interface/subject.h"

const cni::test::Subject cni::test::kSubject{.plugin = "tap", .kind = "tun"};
