// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "rpc.h"

#include <bit>
#include <utility>

#include "base/concat.h"
#include "base/error.h"

namespace cni::dhcp::rpc {
namespace {

using gob::Fields;
using gob::List;
using gob::Type;
using gob::Value;
using Kind = Type::Kind;

constexpr std::size_t kMaxGreeting = 4096;
constexpr std::string_view kConnected = "HTTP/1.0 200 Connected to Go RPC\n\n";
constexpr std::string_view kNotConnect =
    "HTTP/1.0 405 Method Not Allowed\r\nContent-Type: text/plain; charset=utf-8\r\n"
    "Content-Length: 17\r\n\r\n405 must CONNECT\n";

/// What Go calls these types. Made when it is first needed: most plugins never do.
struct Schema {
  Type integer{Kind::kInt};
  Type unsigned_integer{Kind::kUint};
  Type bytes{Kind::kBytes};
  Type text{Kind::kString};
  Type texts{Kind::kSlice, "[]string", &text};

  Type request_header{
      Kind::kStruct, "Request", nullptr, {{"ServiceMethod", &text}, {"Seq", &unsigned_integer}}};
  Type response_header{Kind::kStruct,
                       "Response",
                       nullptr,
                       {{"ServiceMethod", &text}, {"Seq", &unsigned_integer}, {"Error", &text}}};
  Type nothing{Kind::kStruct};
  Type call{Kind::kStruct,
            "CmdArgs",
            nullptr,
            {{"ContainerID", &text},
             {"Netns", &text},
             {"IfName", &text},
             {"Args", &text},
             {"Path", &text},
             {"NetnsOverride", &text},
             {"StdinData", &bytes},
             {"PatienceMs", &unsigned_integer}}};
  Type net{Kind::kStruct, "IPNet", nullptr, {{"IP", &bytes}, {"Mask", &bytes}}};
  Type ip{Kind::kStruct,
          "IPConfig",
          nullptr,
          {{"Interface", &integer}, {"Address", &net}, {"Gateway", &bytes}}};
  Type ips{Kind::kSlice, "[]*types100.IPConfig", &ip};
  Type route{Kind::kStruct,
             "Route",
             nullptr,
             {{"Dst", &net},
              {"GW", &bytes},
              {"MTU", &integer},
              {"AdvMSS", &integer},
              {"Priority", &integer},
              {"Table", &integer},
              {"Scope", &integer}}};
  Type routes{Kind::kSlice, "[]*types.Route", &route};
  Type dns{Kind::kStruct,
           "DNS",
           nullptr,
           {{"Nameservers", &texts}, {"Domain", &text}, {"Search", &texts}, {"Options", &texts}}};
  Type result{Kind::kStruct,
              "Result",
              nullptr,
              {{"CNIVersion", &text}, {"IPs", &ips}, {"Routes", &routes}, {"DNS", &dns}}};
};

const Schema& schema() {
  static const Schema kSchema;
  return kSchema;
}

std::string raw(const IpAddress& address) {
  return {address.bytes().begin(), address.bytes().end()};
}

Value to_value(const IpNet& net) {
  const IpAddress ones = IpAddress::v4(0xffffffff);
  return {Fields{{"IP", {raw(net.address)}}, {"Mask", {raw(ones.network(net.prefix))}}}};
}

Value to_value(const std::vector<std::string>& texts) {
  List out;
  for (const std::string& text : texts) out.push_back({text});
  return {out};
}

Value to_value(const Route& route) {
  Fields out{{"Dst", to_value(route.dst)},
             {"MTU", {std::int64_t{route.mtu}}},
             {"AdvMSS", {std::int64_t{route.advmss}}},
             {"Priority", {std::int64_t{route.priority}}}};
  if (route.gw) out["GW"] = {raw(*route.gw)};
  if (route.table) out["Table"] = {std::int64_t{*route.table}};
  if (route.scope) out["Scope"] = {std::int64_t{*route.scope}};
  return {out};
}

Value to_value(const Result& result) {
  List ips;
  for (const IpConfig& ip : result.ips) {
    Fields out{{"Address", to_value(ip.address)}};
    if (ip.gateway) out["Gateway"] = {raw(*ip.gateway)};
    ips.push_back({out});
  }
  List routes;
  for (const Route& route : result.routes) routes.push_back(to_value(route));
  const Fields dns{{"Nameservers", to_value(result.dns.nameservers)},
                   {"Domain", {result.dns.domain}},
                   {"Search", to_value(result.dns.search)},
                   {"Options", to_value(result.dns.options)}};
  return {Fields{{"IPs", {ips}}, {"Routes", {routes}}, {"DNS", {dns}}}};
}

std::optional<IpAddress> find_address(const Value& value) {
  const std::string bytes = value.text();
  if (bytes.empty()) return std::nullopt;
  if (bytes.size() != 4 && bytes.size() != 16) {
    throw Error(ErrorCode::kDecode, "the DHCP daemon answered with an address of an odd length");
  }
  const std::vector<std::uint8_t> raw_bytes(bytes.begin(), bytes.end());
  const IpAddress out =
      IpAddress::from_bytes(bytes.size() == 4 ? Family::kV4 : Family::kV6, raw_bytes);
  // Go writes IPv4 addresses in either form; reading the text makes one of both.
  return IpAddress::parse(out.text());
}

IpNet get_net(const Value& value) {
  const auto address = find_address(value["IP"]);
  if (!address) throw Error(ErrorCode::kDecode, "the DHCP daemon answered without an address");
  int prefix = 0;
  for (const char byte : value["Mask"].text()) {
    prefix += std::popcount(static_cast<std::uint8_t>(byte));
  }
  if (prefix > address->bits()) prefix -= 96;
  return {*address, prefix};
}

std::vector<std::string> get_texts(const Value& value) {
  std::vector<std::string> out;
  for (const Value& text : value.list()) out.push_back(text.text());
  return out;
}

unsigned get_unsigned(const Value& value) { return static_cast<unsigned>(value.integer()); }

Result get_result(const Value& value) {
  Result out;
  for (const Value& ip : value["IPs"].list()) {
    out.ips.push_back({std::nullopt, get_net(ip["Address"]), find_address(ip["Gateway"])});
  }
  for (const Value& item : value["Routes"].list()) {
    Route route;
    route.dst = get_net(item["Dst"]);
    route.gw = find_address(item["GW"]);
    route.mtu = get_unsigned(item["MTU"]);
    route.advmss = get_unsigned(item["AdvMSS"]);
    route.priority = get_unsigned(item["Priority"]);
    if (item["Table"].integer() != 0) route.table = get_unsigned(item["Table"]);
    if (item["Scope"].integer() != 0) route.scope = get_unsigned(item["Scope"]);
    out.routes.push_back(route);
  }
  const Value& dns = value["DNS"];
  out.dns = {get_texts(dns["Nameservers"]), dns["Domain"].text(), get_texts(dns["Search"]),
             get_texts(dns["Options"])};
  return out;
}

/// Takes a greeting (up to its empty line) off the stream's beginning. False: not whole yet.
bool take_greeting(std::string& buffer, std::string& rest) {
  for (const std::string_view end : {"\n\n", "\n\r\n"}) {
    const auto at = buffer.find(end);
    if (at == buffer.npos) continue;
    rest = buffer.substr(at + end.size());
    buffer.resize(at);
    return true;
  }
  if (buffer.size() > kMaxGreeting) throw Error(ErrorCode::kDecode, "not a greeting of net/rpc");
  return false;
}

}  // namespace

std::string ClientSide::request(std::string_view method, const Call& call) {
  method_ = method;
  const Value header{Fields{{"ServiceMethod", {std::string(method)}}}};
  const Value body{Fields{{"ContainerID", {call.container_id}},
                          {"Netns", {call.netns}},
                          {"IfName", {call.ifname}},
                          {"Args", {call.args}},
                          {"Path", {call.path}},
                          {"NetnsOverride", {call.netns_override}},
                          {"StdinData", {call.config}},
                          {"PatienceMs", {call.patience_ms}}}};
  return encoder_.encode(schema().request_header, header) + encoder_.encode(schema().call, body);
}

void ClientSide::feed(std::string_view bytes) {
  if (connected_) {
    decoder_.feed(bytes);
    return;
  }
  greeting_ += bytes;
  std::string rest;
  if (!take_greeting(greeting_, rest)) return;
  if (greeting_.find(" 200 ") == greeting_.npos) {
    throw Error(ErrorCode::kDecode, concat("no DHCP daemon answers: ", quote(greeting_)));
  }
  connected_ = true;
  decoder_.feed(rest);
}

std::optional<Result> ClientSide::answer() {
  if (!header_) header_ = decoder_.next();
  if (!header_) return std::nullopt;
  if (const std::string error = (*header_)["Error"].text(); !error.empty()) {
    throw Error(ErrorCode::kTryAgain, concat("error calling ", method_, ": ", error));
  }
  const auto body = decoder_.next();
  if (!body) return std::nullopt;
  return get_result(*body);
}

void ServerSide::feed(std::string_view bytes) {
  if (over_) return;
  if (connected_) {
    decoder_.feed(bytes);
    return;
  }
  greeting_ += bytes;
  std::string rest;
  if (!take_greeting(greeting_, rest)) return;
  answer_greeting();
  decoder_.feed(rest);
}

void ServerSide::answer_greeting() {
  if (!greeting_.starts_with("CONNECT ")) {
    output_ += kNotConnect;
    over_ = true;
    return;
  }
  connected_ = true;
  output_ += kConnected;
}

std::optional<ServerSide::Request> ServerSide::next() {
  if (!connected_ || over_) return std::nullopt;
  if (!header_) header_ = decoder_.next();
  if (!header_) return std::nullopt;
  const auto body = decoder_.next();
  if (!body) return std::nullopt;
  const Value header = *std::exchange(header_, std::nullopt);
  Request out;
  out.method = header["ServiceMethod"].text();
  out.sequence = static_cast<std::uint64_t>(header["Seq"].integer());
  out.call = {.container_id = (*body)["ContainerID"].text(),
              .netns = (*body)["Netns"].text(),
              .ifname = (*body)["IfName"].text(),
              .args = (*body)["Args"].text(),
              .path = (*body)["Path"].text(),
              .netns_override = (*body)["NetnsOverride"].text(),
              .config = (*body)["StdinData"].text(),
              .patience_ms = static_cast<std::uint64_t>((*body)["PatienceMs"].integer())};
  return out;
}

void ServerSide::send_header(const Request& request, std::string_view error) {
  const Value header{Fields{{"ServiceMethod", {request.method}},
                            {"Seq", {request.sequence}},
                            {"Error", {std::string(error)}}}};
  output_ += encoder_.encode(schema().response_header, header);
}

void ServerSide::answer(const Request& request, const Result& result) {
  send_header(request, "");
  if (request.method == kAllocate) {
    output_ += encoder_.encode(schema().result, to_value(result));
  } else {
    output_ += encoder_.encode(schema().nothing, {Fields{}});
  }
}

void ServerSide::refuse(const Request& request, std::string_view why) {
  send_header(request, why);
  output_ += encoder_.encode(schema().nothing, {Fields{}});
}

std::string ServerSide::take_output() { return std::exchange(output_, {}); }

}  // namespace cni::dhcp::rpc
