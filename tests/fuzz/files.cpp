// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// For libFuzzer: files and bytes that others may have damaged: leases and their stamps,
// resolv.conf, the result cache, records for reload. The first byte says which.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/error.h"
#include "config.h"
#include "lease.h"
#include "protocol/record.h"
#include "runtime/cache.h"
#include "store.h"
#include "support/temp_dir.h"

namespace {

const cni::test::TempDir& folder() {
  static const cni::test::TempDir dir;
  return dir;
}

void lease(std::string_view text) {
  static_cast<void>(cni::host_local::parse_stamp(text));
  static_cast<void>(cni::host_local::address_of_name(text));
  const auto content = cni::host_local::LeaseContent::parse(text);
  if (!content) return;
  const auto again = cni::host_local::LeaseContent::parse(content->text());
  if (!again || again->owner.container_id != content->owner.container_id) std::abort();
}

void resolv_conf(std::string_view text) {
  static_cast<void>(cni::host_local::parse_resolv_conf(text));
}

/// A network's directory: a lease, the address last handed out, the index.
void leases(std::string_view text) {
  using cni::host_local::Store;
  const auto cut = text.find('\0');
  const std::string_view rest = cut == text.npos ? "" : text.substr(cut + 1);
  folder().write("net/10.1.0.2", text.substr(0, cut));
  folder().write("net/last_reserved_ip.0", rest);
  folder().write(".cnipp/net.index", rest);
  auto store = Store::open(folder().path(), "net");
  static_cast<void>(store.find({"c1", "eth0"}));
  static_cast<void>(store.last_reserved(0));
  static_cast<void>(store.survey());
}

void cache(std::string_view text) {
  const cni::Attachment attachment{"c1", "eth0"};
  folder().write("results/net-c1-eth0", text);
  const cni::ResultCache cache(folder().path());
  static_cast<void>(cache.list());
  static_cast<void>(cache.find("net", attachment));
}

/// Below /run, which tools/fuzz makes an empty one.
void records(std::string_view text) {
  folder().write("../../run/cnipp/attachments/0123456789abcdef-0123456789abcdef.portmap", text);
  static_cast<void>(cni::record::list());
}

constexpr void (*kReaders[])(std::string_view) = {lease, resolv_conf, leases, cache, records};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    kReaders[data[0] % std::size(kReaders)](text);
  } catch (const cni::Error&) {  // the answer to what is wrong
  }
  return 0;
}
