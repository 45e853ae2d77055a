// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "support/snapshot.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "base/concat.h"
#include "base/error.h"
#include "base/hash.h"
#include "support/command.h"

namespace cni::test {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

// Members that change by themselves, or are numbers the kernel gave.
const std::set<std::string, std::less<>> kNoise = {"ifindex",
                                                   "link_index",
                                                   "link_netnsid",
                                                   "handle",
                                                   "counter",
                                                   "stats",
                                                   "stats64",
                                                   "metainfo",
                                                   "hello_timer",
                                                   "tcn_timer",
                                                   "gc_timer",
                                                   "topology_change_timer",
                                                   "forward_delay_timer",
                                                   "message_age_timer",
                                                   "hold_timer",
                                                   "refcnt",
                                                   "used",
                                                   "tentative",
                                                   "bytes",
                                                   "packets"};

// {"a": {"b": [1, 2]}} -> "<prefix> a.b[0] = 1" ...
void flatten(const JsonRef& json, const std::string& prefix, const std::string& path,
             Lines& lines) {
  if (json.is_object()) {
    for (const auto& member : json.members()) {
      if (kNoise.contains(member.key)) continue;
      flatten(member.value, prefix, path.empty() ? member.key : concat(path, ".", member.key),
              lines);
    }
  } else if (json.is_array() && !json.items().empty() && json.items()[0].is_object()) {
    int i = 0;
    for (const auto& item : json.items()) {
      flatten(item, prefix, concat(path, "[", i++, "]"), lines);
    }
  } else {
    lines.push_back(concat(prefix, " ", path, " = ", json.text()));
  }
}

// JSON without noise, as one line.
std::string compact(const JsonRef& json) {
  if (json.is_array()) {
    std::string text = "[";
    for (const auto& item : json.items()) text += concat(compact(item), " ");
    return text + "]";
  }
  if (!json.is_object()) return json.text();
  std::string text = "{";
  for (const auto& member : json.members()) {
    if (!kNoise.contains(member.key)) text += concat(member.key, ":", compact(member.value), " ");
  }
  return text + "}";
}

void add_links(const JsonRef& links, const JsonRef& addresses, Lines& lines) {
  for (const auto& link : links.items()) {
    flatten(link, concat("link ", link["ifname"].string()), "", lines);
  }
  for (const auto& link : addresses.items()) {
    for (const auto& address : link["addr_info"].items()) {
      lines.push_back(concat("addr ", link["ifname"].string(), " ", compact(address)));
    }
  }
}

// One line per object of an array.
void add_list(std::string_view section, const JsonRef& list, Lines& lines) {
  for (const auto& item : list.items()) lines.push_back(concat(section, " ", compact(item)));
}

void add_fdb(const JsonRef& list, Lines& lines) {
  for (const auto& entry : list.items()) {
    if (entry["state"].string_or("") == "permanent") {
      lines.push_back(concat("fdb ", compact(entry)));
    }
  }
}

void add_iproute2(const TestNamespace& net, Lines& lines) {
  const auto links = tool_json_batch("ip -d -j", {"link", "addr"}, &net);
  add_links(links[0].root(), links[1].root(), lines);
  for (const char* family : {"ip -d -j -4", "ip -d -j -6"}) {
    const auto routing = tool_json_batch(family, {"route show table all", "rule"}, &net);
    add_list("route", routing[0].root(), lines);
    add_list("rule", routing[1].root(), lines);
  }
  const auto bridge = tool_json_batch("bridge -j", {"vlan show", "fdb show"}, &net);
  add_list("vlan", bridge[0].root(), lines);
  add_fdb(bridge[1].root(), lines);
  add_list("qdisc", tool_json("tc -j qdisc show", &net).root(), lines);
}

// The elements of sets and maps have no order; rules have one, which the sorting must keep.
void add_nft(const TestNamespace& net, Lines& lines) {
  const Json ruleset = tool_json("nft -j list ruleset", &net);
  std::map<std::string, int> rules_in_chain;
  for (const auto& object : ruleset.root()["nftables"].items()) {
    for (const auto& [kind, value] : object.members()) {
      if (kind == "metainfo") continue;
      const std::string where = concat("nft ", kind, " ", value["family"].string_or(""), " ",
                                       value["table"].string_or(""));
      if (kind == "rule") {
        const std::string chain = concat(where, " ", value["chain"].string());
        lines.push_back(concat(chain, " #", rules_in_chain[chain]++, " ", compact(value["expr"]),
                               " ", value["comment"].string_or("")));
        continue;
      }
      for (const auto& element : value["elem"].items()) {
        lines.push_back(
            concat("nft element ", where, " ", value["name"].string(), " ", compact(element)));
      }
      Json rest(value);
      rest.erase("elem");
      lines.push_back(concat(where, " ", compact(rest.root())));
    }
  }
}

// The older iptables, which nft does not show. Asking it for a table would create the table.
void add_legacy_iptables(const TestNamespace& net, Lines& lines) {
  constexpr std::array<std::pair<const char*, const char*>, 2> kFamilies = {
      {{"/proc/net/ip_tables_names", "iptables-legacy-save"},
       {"/proc/net/ip6_tables_names", "ip6tables-legacy-save"}}};
  for (const auto& [names, program] : kFamilies) {
    const bool in_use = net.run([&, path = names] {
      std::error_code ignored;
      return fs::exists(path, ignored) && !read_file(path).empty();
    });
    if (!in_use) continue;
    std::string saved = tool(program, &net);
    std::size_t begin = 0;
    for (std::size_t end; (end = saved.find('\n', begin)) != std::string::npos; begin = end + 1) {
      // Comments hold the time, chain lines the counters.
      if (saved[begin] == '-') {
        lines.push_back(concat("iptables ", std::string_view(saved).substr(begin, end - begin)));
      }
    }
  }
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Of an interface only what differs from the namespace's defaults: the rest says nothing.
void add_sysctls_below(const fs::path& tree, Lines& lines) {
  std::error_code ignored;
  std::map<std::string, std::string> defaults;
  for (const auto& entry : fs::directory_iterator(tree / "default", ignored)) {
    if (entry.is_regular_file())
      defaults[entry.path().filename().string()] = first_line(entry.path());
  }
  for (const auto& entry : fs::recursive_directory_iterator(tree, ignored)) {
    if (!entry.is_regular_file()) continue;
    const std::string directory = entry.path().parent_path().filename();
    const std::string value = first_line(entry.path());
    const bool is_interface = directory != "all" && directory != "default";
    const auto by_default = defaults.find(entry.path().filename().string());
    if (is_interface && by_default != defaults.end() && by_default->second == value) continue;
    const std::string key = entry.path().string().substr(sizeof "/proc/sys/" - 1);
    lines.push_back(concat("sysctl ", key, " = ", value));
  }
}

void add_sysctls(const TestNamespace& net, Lines& lines) {
  net.run([&] {
    lines.push_back("sysctl net/ipv4/ip_forward = " + first_line("/proc/sys/net/ipv4/ip_forward"));
    for (const char* tree :
         {"/proc/sys/net/ipv4/conf", "/proc/sys/net/ipv6/conf", "/proc/sys/net/bridge"}) {
      add_sysctls_below(tree, lines);
    }
  });
}

std::string permissions(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return "gone";
  std::string octal;
  for (unsigned shift : {9U, 6U, 3U, 0U}) {
    octal += static_cast<char>('0' + ((status.st_mode >> shift) & 7U));
  }
  return octal;
}

// Binary content as a hash.
std::string shown_content(const std::string& path) {
  const std::string content = read_file(path);
  if (content.find('\0') == std::string::npos) return quote(content);
  return concat("\"", content.size(), " bytes, SHA-512 ", sha512_hex(content, 16), "\"");
}

void add_files(const std::string& tree, Lines& lines) {
  std::error_code ignored;
  for (auto it = fs::recursive_directory_iterator(tree, ignored);
       it != fs::recursive_directory_iterator(); ++it) {
    const std::string path = it->path();
    // The names are a section of their own; reading a namespace file gives nothing. Ours to use:
    // scratch. The lock file of the iptables tool is a matter of that tool.
    if (path == "/run/netns" || path == "/run/scratch") {
      it.disable_recursion_pending();
      continue;
    }
    if (path == "/run/xtables.lock") continue;
    // host-local's index of the lease files: made from them, and made anew when it is missing.
    if (path.ends_with("/networks/.cnipp")) {
      it.disable_recursion_pending();
      continue;
    }
    // Directories and lock files stay.
    if (path == "/run/cnipp" || path == "/run/cnipp/attachments" ||
        path == "/run/cnipp/route_localnet" || path == "/run/cnipp/bridge.lock" ||
        path == "/run/cnipp/nftables.lock") {
      continue;
    }
    const std::string prefix = concat("file ", path, " ", permissions(path));
    if (it->is_regular_file()) {
      lines.push_back(concat(prefix, " ", shown_content(path)));
    } else {
      lines.push_back(prefix);
    }
  }
}

}  // namespace

Snapshot Snapshot::only(std::string_view sections) const {
  Snapshot result;
  const std::string wanted = concat(" ", sections, " ");
  for (const auto& line : lines) {
    const std::string section = concat(" ", line.substr(0, line.find(' ')), " ");
    if (wanted.find(section) != std::string::npos) result.lines.push_back(line);
  }
  return result;
}

Snapshot Snapshot::renamed(const std::map<std::string, std::string>& names) const {
  Snapshot result = *this;
  for (auto& line : result.lines) {
    for (const auto& [from, to] : names) {
      if (from.empty()) continue;
      for (std::size_t at = 0; (at = line.find(from, at)) != std::string::npos; at += to.size()) {
        line.replace(at, from.size(), to);
      }
    }
  }
  std::sort(result.lines.begin(), result.lines.end());
  return result;
}

Snapshot Snapshot::without_hints() const {
  Snapshot result = *this;
  std::erase_if(result.lines, [](const std::string& line) {
    return line.find("/last_reserved_ip.") != std::string::npos;
  });
  return result;
}

Snapshot Snapshot::without_memory() const {
  Snapshot result = without_hints();
  std::erase_if(result.lines, [](const std::string& line) {
    if (!line.starts_with("file /var/lib/cni/")) return false;
    return line.find('"') == std::string::npos || line.find("/lock 0") != std::string::npos ||
           line.find("/networks/.cnipp/") != std::string::npos;
  });
  return result;
}

std::string Snapshot::text() const {
  std::string result;
  for (const auto& line : lines) result += concat(line, "\n");
  return result;
}

bool Snapshot::mentions(std::string_view text) const {
  return std::any_of(lines.begin(), lines.end(),
                     [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

Snapshot snapshot_network(const TestNamespace& net) {
  Snapshot result;
  add_iproute2(net, result.lines);
  add_nft(net, result.lines);
  add_legacy_iptables(net, result.lines);
  add_sysctls(net, result.lines);
  std::sort(result.lines.begin(), result.lines.end());
  return result;
}

Snapshot snapshot_host() {
  Snapshot result = snapshot_network(TestNamespace::current());
  add_files("/run", result.lines);
  add_files("/var/lib/cni", result.lines);
  for (const auto& entry : fs::directory_iterator("/run/netns")) {
    result.lines.push_back(concat("netns ", entry.path().filename().string()));
  }
  std::sort(result.lines.begin(), result.lines.end());
  return result;
}

Snapshot snapshot_of(const JsonRef& json, const std::string& section) {
  Snapshot result;
  flatten(json, section, "", result.lines);
  std::sort(result.lines.begin(), result.lines.end());
  return result;
}

std::string difference(const Snapshot& before, const Snapshot& after) {
  Lines gone, appeared;
  std::set_difference(before.lines.begin(), before.lines.end(), after.lines.begin(),
                      after.lines.end(), std::back_inserter(gone));
  std::set_difference(after.lines.begin(), after.lines.end(), before.lines.begin(),
                      before.lines.end(), std::back_inserter(appeared));
  std::string text;
  for (const auto& line : gone) text += concat("- ", line, "\n");
  for (const auto& line : appeared) text += concat("+ ", line, "\n");
  return text;
}

std::string difference_in_the_end(const Snapshot& before, std::chrono::milliseconds patience) {
  std::string last;
  (void)eventually(
      [&] {
        last = difference(before.without_memory(), snapshot_host().without_memory());
        return last.empty();
      },
      patience);
  return last;
}

}  // namespace cni::test
