// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/json.h"
#include "support/skip.h"
#include "support/temp_dir.h"

namespace cni::test {

struct Outcome {
  int status = 0;
  std::string output;

  [[nodiscard]] bool ok() const { return status == 0; }
  [[nodiscard]] Json json() const { return Json::parse(output); }
  /// The code of an error object; 0 after success.
  [[nodiscard]] int code() const;
  /// msg and details of an error object.
  [[nodiscard]] std::string message() const;
  /// The addresses of a result, with prefixes.
  [[nodiscard]] std::vector<std::string> addresses() const;
};

/// Our binary of an IPAM plugin, and Debian's.
[[nodiscard]] std::string our_plugin(std::string_view name);
[[nodiscard]] std::string reference_plugin(std::string_view name);
/// Ends the test as skipped when the file is not there.
void require_file(const std::string& path);
/// Gives this process mounts of its own; ends the test as skipped without the right to that.
void require_own_mounts();
/// CNI_TEST_LONG: everything instead of a sample.
[[nodiscard]] bool takes_long();

struct Call {
  std::string binary = our_plugin("host-local");
  std::string verb;
  std::string container_id = "c1";
  std::string ifname = "eth0";
  std::string netns = "/dummy";
  std::string args;
  std::vector<std::string> env;  // further "K=V"
};

[[nodiscard]] std::vector<std::string> environment_of(const Call& call);
Outcome run(const Call& call, std::string_view conf);

/// A network with host-local, its leases in a directory of its own.
class Network {
 public:
  /// `ipam`: members of the object "ipam" after type and dataDir; `rest`: members of the document.
  explicit Network(std::string_view ipam, std::string_view rest = "",
                   std::string_view version = "1.1.0");

  Outcome add(const std::string& id, const std::string& ifname = "eth0",
              const std::string& args = "") const;
  Outcome del(const std::string& id, const std::string& ifname = "eth0") const;
  Outcome check(const std::string& id, const std::string& ifname = "eth0") const;
  Outcome status() const;
  /// GC with these attachments ("id/ifname") as the valid ones.
  Outcome gc(const std::vector<std::string>& valid) const;
  Outcome call(const std::string& binary, const std::string& verb, const std::string& id,
               const std::string& ifname = "eth0") const;
  Outcome call(const Call& call) const { return run(call, conf()); }

  [[nodiscard]] std::string conf() const { return conf_with(""); }
  /// The configuration with further members.
  [[nodiscard]] std::string conf_with(std::string_view members) const;
  [[nodiscard]] std::filesystem::path dir() const { return temp_.path("net1"); }
  [[nodiscard]] std::filesystem::path data_dir() const { return temp_.path(); }
  /// File name -> content of all lease files.
  [[nodiscard]] std::map<std::string, std::string> leases() const;
  void put(const std::string& name, std::string_view content) const;

 private:
  TempDir temp_;
  std::string ipam_, rest_, version_;
};

/// This process and its children boot again whenever they are told to: a file of ours stands where
/// the kernel shows its boot id. Ends the test as skipped without the privilege to do that.
class Host {
 public:
  Host();
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  ~Host();
  void reboot();

 private:
  TempDir temp_;
  int boots_ = 0;
};

[[nodiscard]] std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, std::string_view content);

}  // namespace cni::test
