// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "plugins/interface/subject.h"

const cni::test::Subject cni::test::kSubject{
    .plugin = "vlan",
    .members = R"("master":"up0","vlanId":7)",
    .kind = "vlan",
    .prepare =
        "ip link add up0 type veth peer name up1;"
        "ip link set up0 addrgenmode none up;ip link set up1 addrgenmode none up",
};
