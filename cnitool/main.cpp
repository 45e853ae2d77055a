// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include <CLI/CLI.hpp>
#include <chrono>

#include "base/concat.h"
#include "base/deadline.h"
#include "base/error.h"
#include "base/log.h"
#include "commands.h"
#include "output.h"
#include "protocol/process.h"

#ifndef CNIPP_VERSION
#define CNIPP_VERSION "unknown"
#endif

namespace cnitool {
namespace {

using Verb = void (*)(const Options&);

struct Subcommand {
  const char* name;
  Verb run;
  const char* help;
  bool needs_network;
  bool takes_netns;
  bool needs_netns;
};

constexpr Subcommand kSubcommands[] = {
    {"add", add, "Attach a network namespace to a network; prints the result", true, true, true},
    {"check", check, "Check that an attachment is as ADD made it", true, true, true},
    {"del", del, "Detach a network namespace from a network", true, true, true},
    {"gc", gc, "Delete the attachments of a network except those to keep", true, true, false},
    {"status", status, "Ask whether a network can serve ADDs", true, true, false},
    {"reload", reload, "Make the firewall rules of live attachments again", false, false, false},
    {"version", version, "Print which versions the plugins of a network support", true, true,
     false},
    {"list", list, "List the configured networks", false, false, false},
    {"show", show, "Show the attachments, from the result cache", false, false, false},
};

constexpr const char* kFooter = R"(Environment:
  CNI_PATH      directories of the plugins, separated by ':' (for example /opt/cni/bin)
  NETCONFPATH   directory of the network configurations (default /etc/cni/net.d)
  CNI_IFNAME    interface name in the container, unless -i is given (default eth0)
  CNI_ARGS      arguments for the plugins: KEY=VALUE;KEY=VALUE
  CAP_ARGS      capability arguments, a JSON object: {"portMappings": [...], "mac": "..."}
  CNI_LOG_LEVEL, CNI_LOG_FILE   debug, info, warn, error or off; where to (default stderr)

Examples:
  export CNI_PATH=/opt/cni/bin
  cnitool list                              the networks that can be used
  ip netns add blue
  cnitool add demo /run/netns/blue          attach "blue" to the network "demo"
  cnitool -i lo add loopback /run/netns/blue
  cnitool show                              who is attached where
  cnitool check demo /run/netns/blue
  CAP_ARGS='{"mac": "0a:00:00:00:00:07"}' cnitool -i eth1 add demo /run/netns/blue
  cnitool del demo /run/netns/blue
  cnitool ipam show demo                    who has which address, how full the ranges are
  cnitool reload                            after "nft flush ruleset" and the like
  cnitool gc demo --keep cnitool-20b4ff582526573bbe7d

The container id is "cnitool-" and 20 hex digits of the SHA-512 of the absolute netns path.
Results go to stdout, errors to stderr; the exit status is 0 or 1.)";

void add_subcommand(CLI::App& app, const Subcommand& subcommand, Options& options) {
  CLI::App* sub = app.add_subcommand(subcommand.name, subcommand.help);
  sub->fallthrough();
  sub->footer("");
  if (subcommand.run != list) {
    auto* network = sub->add_option("NET", options.network, "Name of the network");
    network->required(subcommand.needs_network);
  }
  if (subcommand.takes_netns) {
    auto* netns = sub->add_option("NETNS", options.netns, "Path of the network namespace");
    netns->required(subcommand.needs_netns);
  }
  if (subcommand.run == gc) {
    sub->add_option("--keep", options.keep,
                    "An attachment that is valid, CONTAINER or CONTAINER:IFNAME (repeatable)")
        ->allow_extra_args(false);
  }
  if (subcommand.run == list || subcommand.run == show || subcommand.run == version) {
    sub->add_flag("--json", options.json, "Print JSON");
  }
}

/// "ipam show" and "ipam free": what host-local has handed out.
void add_ipam(CLI::App& app, Options& options) {
  CLI::App* ipam = app.add_subcommand("ipam", "Look at the addresses host-local has handed out");
  ipam->require_subcommand(1)->fallthrough()->footer("");
  CLI::App* show_leases =
      ipam->add_subcommand("show", "List the leases and how full each range is");
  show_leases->fallthrough()->footer("");
  show_leases->add_option("NET", options.network, "Name of the network")->required();
  show_leases->add_flag("--json", options.json, "Print JSON");
  CLI::App* free_leases =
      ipam->add_subcommand("free", "Free a lease by hand, or those of the dead");
  free_leases->fallthrough()->footer("");
  free_leases->add_option("NET", options.network, "Name of the network")->required();
  free_leases->add_option("ADDRESS", options.address, "The address to free");
  free_leases->add_flag("--dead", options.dead, "Free every lease whose attachment looks dead");
  free_leases->add_flag("--yes", options.yes, "Do not ask");
}

void configure_log(const std::string& verb, const Options& options) {
  cni::log::Options log;
  log.plugin = "cnitool";
  log.verb = verb;
  log.network = options.network;
  // The failures that gc collects are its error text: not twice.
  log.level = verb == "gc" ? cni::log::Level::kError : cni::log::Level::kWarn;
  const cni::Environment environment = cni::Environment::current();
  log.file = environment.get("CNI_LOG_FILE");
  const std::string level = environment.get("CNI_LOG_LEVEL");
  if (!level.empty()) cni::log::parse_level(level, log.level);
  cni::log::configure(std::move(log));
}

int parse_and_run(int argc, char** argv) {
  CLI::App app("cnitool runs the plugins of CNI networks, as a container runtime does", "cnitool");
  app.footer(kFooter);
  app.set_version_flag("--version", "cnitool (cnipp) " CNIPP_VERSION);
  app.require_subcommand(1);
  Options options;
  unsigned timeout = 300;
  app.add_option("-i,--ifname", options.ifname, "Interface name in the container");
  app.add_option("--cache-dir", options.cache_dir, "Where results are kept")->capture_default_str();
  app.add_option("--timeout", timeout, "Seconds after which to give up")
      ->check(CLI::Range(1U, 86400U))
      ->capture_default_str();
  for (const Subcommand& subcommand : kSubcommands) add_subcommand(app, subcommand, options);
  add_ipam(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    print(app.help());
    return 0;
  } catch (const CLI::CallForVersion& version_text) {
    print(cni::concat(version_text.what(), "\n"));
    return 0;
  } catch (const CLI::ParseError& error) {
    print_error(cni::concat("cnitool: ", error.what(), "\n\n", app.help()));
    return 1;
  }
  const std::string verb = app.get_subcommands().front()->get_name();
  cni::Deadline::start(std::chrono::seconds(timeout));
  configure_log(verb, options);
  for (const Subcommand& subcommand : kSubcommands) {
    if (verb == subcommand.name) subcommand.run(options);
  }
  if (verb == "ipam") {
    const bool is_show = app.get_subcommands().front()->got_subcommand("show");
    (is_show ? ipam_show : ipam_free)(options);
  }
  return 0;
}

}  // namespace
}  // namespace cnitool

int main(int argc, char** argv) {
  cni::prepare_signals();
  try {
    return cnitool::parse_and_run(argc, argv);
  } catch (const std::exception& error) {
    try {
      cnitool::print_error(cni::concat(error.what(), "\n"));
    } catch (const std::exception&) {
      // stderr is closed: the exit status has to do.
    }
    return 1;
  }
}
