// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "protocol/target.h"

#include <algorithm>

#include "base/concat.h"
#include "model/version.h"
#include "support/catch.h"
#include "support/plugin.h"

namespace cni::test {

std::string target_binary() { return concat(our_bin_dir(), "/", kTarget); }

Variables attachment(std::string_view command) {
  return {{"CNI_COMMAND", std::string(command)},
          {"CNI_CONTAINERID", "c1"},
          {"CNI_NETNS", "/run/netns/missing"},
          {"CNI_IFNAME", "eth0"},
          {"CNI_PATH", our_bin_dir()}};
}

Variables with(Variables variables, std::string_view name, std::string_view value) {
  variables = without(std::move(variables), name);
  variables.emplace_back(name, value);
  return variables;
}

Variables without(Variables variables, std::string_view name) {
  std::erase_if(variables, [&](const auto& variable) { return variable.first == name; });
  return variables;
}

std::string config(std::string_view version) {
  return concat(R"({"cniVersion": ")", version, R"(", "name": "net", "type": ")", kTarget, "\"}");
}

Output call(const Variables& variables, const std::string& input) {
  std::vector<std::string> env = {"LC_ALL=C"};
  for (const auto& [name, value] : variables) env.push_back(concat(name, "=", value));
  return run({.argv = {target_binary()}, .env = env, .input = input});
}

ErrorObject error_of_call(const Output& output) {
  INFO(output.text());
  REQUIRE(output.status.signal == 0);
  REQUIRE(output.status.code == 1);
  const Json document = Json::parse(output.out);
  const JsonRef root = document.root();
  REQUIRE(root.is_object());
  for (const auto& [key, value] : root.members()) {
    const std::vector<std::string> known = {"cniVersion", "code", "msg", "details"};
    REQUIRE(std::ranges::find(known, key) != known.end());
  }
  ErrorObject error{root["code"].int_or(0, 0, 0xffffffff), root["msg"].string_or(""),
                    root["details"].string_or(""), root["cniVersion"].string_or("")};
  REQUIRE(error.code > 0);
  REQUIRE_FALSE(error.msg.empty());
  REQUIRE(is_supported(error.version));
  return error;
}

void require_well_formed(const Output& output, std::string_view command) {
  INFO(output.text());
  if (output.ok()) {
    REQUIRE(output.out.empty() == (command != "ADD"));
    if (command == "ADD") REQUIRE(Json::parse(output.out).root().is_object());
  } else {
    (void)error_of_call(output);
  }
}

}  // namespace cni::test
