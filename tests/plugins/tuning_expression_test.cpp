// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// The allow list's expressions are RE2's; what they match, and what is refused.
#include "allow_list.h"
#include "base/error.h"
#include "expression.h"
#include "host/sysctl.h"
#include "support/catch.h"
#include "support/error_of.h"

using cni::sysctl::entry_of;
using cni::test::contains;
using cni::test::error_of;
using cni::tuning::AllowList;
using cni::tuning::posix_expression;

namespace {

bool allows(std::string_view expression, const std::string& key) {
  try {
    AllowList::parse(expression).require_allowed(key);
    return true;
  } catch (const cni::Error& error) {
    UNSCOPED_INFO(error.what());
    return false;
  }
}

}  // namespace

TEST_CASE("allow list: expressions that match", "[tuning]") {
  const auto [expression, key] = GENERATE(table<std::string, std::string>({
      {R"(^net\.ipv4\.conf\.IFNAME\.[a-z_]*$)", "net.ipv4.conf.IFNAME.rp_filter"},
      {R"(^net\.ipv4\.conf\.eth\d+\.\w+$)", "net.ipv4.conf.eth10.rp_filter"},
      {R"(^net\.(?:core|ipv4)\.)", "net.core.somaxconn"},
      {R"(^net\.(?P<family>ipv[46])\.)", "net.ipv6.conf"},
      {R"(net.*?conn$)", "net.core.somaxconn"},
      {R"(somax)", "net.core.somaxconn"},
      {R"(^net[./]core[./]somaxconn$)", "net/core/somaxconn"},
      {R"(\Anet\.core\.somaxconn\z)", "net.core.somaxconn"},
      {R"(\bsomaxconn\b)", "net.core.somaxconn"},
      {R"(^[^\d]+$)", "net.core.somaxconn"},
      {R"(^[\w.\-]+$)", "net.core.so-maxconn"},
      {R"(^[[:alpha:].]+$)", "net.core.somaxconn"},
      {R"(^\S{3,}\.core)", "net.core.somaxconn"},
      {R"(^[]a-z.]{18}$)", "net.core.somaxconn"},
      {R"(x{,2}|net)", "net.core.somaxconn"},
      {R"(^net\.core\.(somaxconn|)$)", "net.core."},
      {R"(a}b]c\/d)", "a}b]c/d"},
      {R"([\^])", "a^b"},
      {R"([^a])", "^"},
      {R"([-^])", "-"},
  }));
  INFO(expression << " -> " << posix_expression(expression));
  CHECK(allows(expression, key));
}

TEST_CASE("allow list: expressions that do not match", "[tuning]") {
  const auto [expression, key] = GENERATE(table<std::string, std::string>({
      {R"(^net\.core\.$)", "net.core.somaxconn"},
      {R"(^net\.core)", "netxcore"},
      {R"(\d)", "net.core.d"},
      {R"(^[^.]+$)", "net.core"},
      {R"(^[\d]$)", "\\"},
      {R"(^[a\-c]$)", "b"},
      {R"(^a{2}$)", "a"},
      {R"(x{,2})", "xx"},
      {R"(\<net)", "net"},
  }));
  INFO(expression << " -> " << posix_expression(expression));
  CHECK_FALSE(allows(expression, key));
}

TEST_CASE("allow list: expressions that cannot be read", "[tuning]") {
  const std::string expression =
      GENERATE("(", ")", "[a", "a**", "*a", "(?i)a", "(?<a", R"(\Qa\E)", R"(\pL)", R"(\x41)",
               R"((a)\1)", "a{1001}", "a{2}{3}", R"([z-a])", R"([[:foo:]])", "a\\", "\\<a\\1");
  INFO(expression);
  const cni::Error error = error_of([&] { (void)posix_expression(expression); });
  CHECK(error.code() == cni::ErrorCode::kInvalidConfig);
  CHECK_THAT(error.what(), contains("error parsing regexp"));
  CHECK(error_of([&] { AllowList::parse(expression).require_readable(); }).code() ==
        cni::ErrorCode::kInvalidConfig);
}

TEST_CASE("sysctl: the entry of a key", "[tuning]") {
  CHECK(entry_of("net.ipv4.ip_forward", "eth0") == "net/ipv4/ip_forward");
  CHECK(entry_of("net/ipv4/ip_forward", "eth0") == "net/ipv4/ip_forward");
  CHECK(entry_of("net.ipv4.conf.IFNAME.x", "eth0.5") == "net/ipv4/conf/eth0.5/x");
  CHECK(entry_of("net.ipv4.conf.eth0.5.x", "eth0.5") == "net/ipv4/conf/eth0.5/x");
  CHECK(entry_of("net.ipv4.conf.eth0.5.x", "eth0") == "net/ipv4/conf/eth0/5/x");
  CHECK(entry_of("net/ipv4/conf/eth0.5/x", "eth0") == "net/ipv4/conf/eth0.5/x");
  CHECK(entry_of("net.IFNAME.IFNAME", "eth0") == "net/eth0/IFNAME");
  for (const char* const key : {"", "net", "net.", ".net.a", "kernel.x", "net/../kernel/x",
                                "net..x", "net/./x", "net//x", "/net/x", "netx.y", "../net/x"}) {
    INFO(key);
    CHECK(error_of([&] { (void)entry_of(key, "eth0"); }).code() == cni::ErrorCode::kInvalidConfig);
  }
}

TEST_CASE("sysctl: values are compared by fields", "[tuning]") {
  CHECK(cni::sysctl::same_value("4096 16384\t3", " 4096\t16384  3\n"));
  CHECK(cni::sysctl::same_value("", "\n"));
  CHECK_FALSE(cni::sysctl::same_value("1 2", "12"));
  CHECK_FALSE(cni::sysctl::same_value("1", "1 2"));
}
