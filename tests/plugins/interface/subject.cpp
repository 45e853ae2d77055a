// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "plugins/interface/subject.h"

#include "base/concat.h"
#include "support/command.h"
#include "support/skip.h"

namespace cni::test {
namespace {

/// Skips the test where the kernel does not have such links.
void require_kind() {
  const auto scratch = TestNamespace::create();
  const Output output =
      run({.argv = {"ip", "link", "add", "probe", "type", kSubject.kind}, .net = &scratch});
  if (output.err.find("Unknown device type") != std::string::npos) {
    skip(concat("this kernel has no links of kind ", kSubject.kind));
  }
}

void prepare() {
  std::string_view rest = kSubject.prepare;
  while (!rest.empty()) {
    const auto end = rest.find(';');
    tool(rest.substr(0, end));
    rest = end == rest.npos ? std::string_view() : rest.substr(end + 1);
  }
}

}  // namespace

const std::string_view kInterfaceIpam =
    R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.1.2.0/24"}],)"
    R"([{"subnet":"2001:db8:1::/64"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"},)"
    R"({"dst":"10.50.0.0/16","mtu":1300},{"dst":"2001:db8:50::/48","priority":77}]})";

std::string subject_conf(std::string_view version, std::string_view network) {
  const std::string_view members = kSubject.members;
  return plugin_conf(kSubject.plugin, concat(members, members.empty() ? "" : ",", kInterfaceIpam),
                     version, network);
}

SubjectHost::SubjectHost() {
  require_kind();
  host.enable_forwarding();
  prepare();
  Attachment{
      .conf = subject_conf(), .netns = neighbour.path(), .id = "c0", .plugin = kSubject.plugin}
      .add();
  wait_for_addresses();
  before = snapshot_host().without_hints();
  inside_before_ = snapshot_network(sandbox.net()).only("link addr route rule");
}

std::string SubjectHost::leftovers() const {
  std::string last;
  (void)eventually([&] {
    last = concat(
        difference(before, snapshot_host().without_hints()),
        difference(inside_before_, snapshot_network(sandbox.net()).only("link addr route rule")));
    return last.empty();
  });
  return last;
}

}  // namespace cni::test
