// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors

// A busy node: pods of every chain come and go in any order, are killed, collected, flushed away
// and restored; in the end the host is as it was. A minute, or CNIPP_SOAK seconds. CNIPP_SOAK_SEED
// repeats a run's choices.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "base/atomic_file.h"
#include "base/concat.h"
#include "plugins/fixture.h"
#include "support/catch.h"
#include "support/traffic.h"

using namespace cni::test;  // NOLINT(google-build-using-namespace): the vocabulary of tests
using cni::concat;

namespace {

constexpr std::size_t kMostPods = 8;

/// The plugins of a network and their members; %P is a port of the pod's own.
struct Chain {
  std::string network;
  std::vector<std::pair<std::string, std::string>> plugins;
};

const std::string kPort =
    R"("runtimeConfig":{"portMappings":[{"hostPort":%P,"containerPort":8080,"protocol":"tcp"}]})";

const std::vector<Chain> kChains = {
    {"soak1",
     {{"bridge", R"("bridge":"soak1","isDefaultGateway":true,"ipMasq":true,"macspoofchk":true,)"
                 R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.71.0.0/24"}],)"
                 R"([{"subnet":"fd71::/64"}]]})"},
      {"portmap", kPort},
      {"firewall", R"("ingressPolicy":"isolated")"},
      {"bandwidth", R"("ingressRate":80000000,"ingressBurst":8000000)"}}},
    {"soak2",
     {{"ptp", R"("ipMasq":true,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.72.0.0/24"}]],)"
              R"("routes":[{"dst":"0.0.0.0/0"}]})"},
      {"portmap", kPort},
      {"tuning", R"("sysctl":{"net.ipv4.conf.IFNAME.arp_filter":"1"},"mtu":1400)"}}},
    {"soak3",
     {{"bridge", R"("bridge":"soak3","isDefaultGateway":true,"ipMasq":true,)"
                 R"("ipam":{"type":"host-local","ranges":[[{"subnet":"10.73.0.0/24"}]]})"},
      {"firewall", R"("ingressPolicy":"same-bridge")"}}}};

std::string with_port(std::string members, unsigned short port) {
  if (const auto at = members.find("%P"); at != members.npos) {
    members.replace(at, 2, concat(port));
  }
  return members;
}

class Pod {
 public:
  Pod(const Chain& chain, std::string id, unsigned short port)
      : chain_(&chain), id_(std::move(id)), port_(port), sandbox_(id_) {}

  [[nodiscard]] const Chain& chain() const { return *chain_; }
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] unsigned short port() const { return port_; }
  [[nodiscard]] const TestNamespace& net() const { return sandbox_.net(); }
  [[nodiscard]] Attachment attachment(std::size_t plugin, const std::string& netns) const {
    const auto& [type, members] = chain_->plugins[plugin];
    return {.conf = plugin_conf(type, with_port(members, port_), "1.1.0", chain_->network),
            .netns = netns,
            .id = id_,
            .plugin = type};
  }
  [[nodiscard]] Output call(std::string_view verb, std::size_t plugin,
                            const std::string& netns) const {
    const Attachment one = attachment(plugin, netns);
    return result_ ? one.run(verb, *result_) : one.run(verb);
  }

  void add() {
    for (std::size_t i = 0; i < chain_->plugins.size(); ++i) {
      const Output output = call("ADD", i, sandbox_.path());
      INFO(concat(id_, " ADD ", chain_->plugins[i].first, ": ", output.text()));
      REQUIRE(output.ok());
      result_ = output.json();
    }
  }
  /// Dies at some moment of the ADD of its plugin number `plugin`.
  void add_killed(std::size_t plugin, std::chrono::microseconds moment) {
    for (std::size_t i = 0; i < plugin; ++i) result_ = call("ADD", i, sandbox_.path()).json();
    const Attachment one = attachment(plugin, sandbox_.path());
    const Attachment whole{.conf = result_ ? with(one.conf, "prevResult", *result_) : one.conf,
                           .netns = one.netns,
                           .id = one.id,
                           .plugin = one.plugin};
    auto process = Process::start(whole.command("ADD"));
    std::this_thread::sleep_for(moment);
    process.send(SIGKILL);
    static_cast<void>(process.wait());
  }
  void check() const {
    for (std::size_t i = 0; i < chain_->plugins.size(); ++i) {
      const Output output = call("CHECK", i, sandbox_.path());
      INFO(concat(id_, " CHECK ", chain_->plugins[i].first, ": ", output.text()));
      CHECK(output.ok());
    }
  }

  /// In one of five manners: as usual, with the namespace gone, with CNI_NETNS empty, without
  /// prevResult, twice.
  static void del(std::unique_ptr<Pod> pod, unsigned manner) {
    const std::string path = manner == 2 ? "" : pod->sandbox_.path();
    if (manner == 1) TestSandbox::destroy(std::move(pod->sandbox_));
    if (manner == 3) pod->result_.reset();
    for (int time = 0; time < (manner == 4 ? 2 : 1); ++time) {
      for (std::size_t i = pod->chain_->plugins.size(); i-- > 0;) {
        const Output output = pod->call("DEL", i, path);
        INFO(concat(pod->id_, " DEL ", pod->chain_->plugins[i].first, " in manner ", manner, ": ",
                    output.text()));
        CHECK(output.ok());
      }
    }
  }

 private:
  const Chain* chain_;
  std::string id_;
  unsigned short port_;
  TestSandbox sandbox_;
  std::optional<cni::Json> result_;
};

class Node {
 public:
  explicit Node(unsigned seed) : random_(seed) {
    host_.enable_forwarding();
    cni::make_directories("/run/cni/tuning", 0700);  // which tuning leaves behind
    wait_for_addresses();
    before_ = snapshot_host();
  }

  void step() {
    const unsigned dice = pick(20);
    if (pods_.size() < 3 || (dice < 6 && pods_.size() < kMostPods)) return add();
    if (dice < 11) return Pod::del(take(), pick(5));
    if (dice < 14) return any().check();
    if (dice < 16) return kill();
    if (dice < 17) return collect();
    if (dice < 18) return flush();
    traffic();
  }
  /// All pods go, and what is shared with the last.
  void drain() {
    while (!pods_.empty()) Pod::del(take(), pick(5));
    collect();
  }

 private:
  unsigned pick(std::size_t below) { return static_cast<unsigned>(random_() % below); }
  Pod& any() { return *pods_[pick(pods_.size())]; }
  std::unique_ptr<Pod> take() {
    const auto at = pods_.begin() + pick(pods_.size());
    std::unique_ptr<Pod> out = std::move(*at);
    pods_.erase(at);
    return out;
  }
  std::unique_ptr<Pod> make() {
    const unsigned number = ++made_;
    return std::make_unique<Pod>(kChains[pick(kChains.size())], concat("pod-", number),
                                 static_cast<unsigned short>(20000 + number % 20000));
  }
  void add() {
    pods_.push_back(make());
    pods_.back()->add();
  }
  void kill() {
    auto pod = make();
    pod->add_killed(pick(pod->chain().plugins.size()), std::chrono::microseconds(pick(12000)));
    Pod::del(std::move(pod), pick(5));
  }
  /// What is not in `pods_` is nobody's.
  void collect() {
    for (const Chain& chain : kChains) {
      std::vector<std::string> valid;
      for (const auto& pod : pods_) {
        if (&pod->chain() == &chain) valid.push_back(pod->id());
      }
      for (const auto& [type, members] : chain.plugins) {
        const Attachment any{
            .conf = plugin_conf(type, with_port(members, 1), "1.1.0", chain.network),
            .netns = "",
            .plugin = type};
        const Output output = any.collecting(valid).run("GC");
        INFO(concat(chain.network, " GC ", type, ": ", output.text()));
        CHECK(output.ok());
      }
    }
  }
  void flush() {
    tool("nft flush ruleset");
    const Output output = run({.argv = {concat(our_bin_dir(), "/cnitool"), "reload"}});
    INFO(output.text());
    CHECK(output.ok());
    for (const auto& pod : pods_) pod->check();
  }
  /// The world outside reaches a published port; an isolated pod is not reached by a neighbour.
  void traffic() {
    const Pod& pod = any();
    INFO(pod.id());
    if (pod.chain().network != "soak3") {
      CHECK(tcp_peer_seen({.client = outside_.net(),
                           .server = pod.net(),
                           .address = OutsideHost::kHostV4,
                           .port = pod.port(),
                           .server_port = 8080}));
    }
    CHECK(can_ping(pod.net(), OutsideHost::kV4));
  }

  TestHost host_;
  OutsideHost outside_{host_};
  Snapshot before_;
  std::mt19937 random_;
  std::vector<std::unique_ptr<Pod>> pods_;
  unsigned made_ = 0;

 public:
  [[nodiscard]] std::string leftovers() const { return difference_in_the_end(before_); }
};

unsigned number_from(const char* variable, unsigned otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

}  // namespace

TEST_CASE("soak: a busy node drains to an empty host", "[scenario][soak]") {
  const unsigned seed = number_from("CNIPP_SOAK_SEED", std::random_device{}());
  INFO("CNIPP_SOAK_SEED=" << seed);
  Node node(seed);
  const auto end =
      std::chrono::steady_clock::now() + std::chrono::seconds(number_from("CNIPP_SOAK", 60));
  while (std::chrono::steady_clock::now() < end) node.step();
  node.drain();
  CHECK(node.leftovers() == "");
}
