// SPDX-License-Identifier: Apache-2.0
// Copyright the cnipp authors
#include "support/command.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <sstream>

#include "base/concat.h"
#include "base/error.h"

namespace cni::test {
namespace {

// Files in memory instead of pipes: nothing blocks, whatever the program reads or writes.
Fd memory_file(const char* name) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) throw_errno("memfd_create");
  return Fd(fd);
}

std::string content(const Fd& file) {
  if (::lseek(file.get(), 0, SEEK_SET) < 0) throw_errno("lseek");
  return read_all(file.get(), "output of a command");
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  result.reserve(strings.size() + 1);
  for (auto& s : strings) result.push_back(s.data());
  result.push_back(nullptr);
  return result;
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (const char* dir :
       {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}) {
    std::string path = concat(dir, "/", name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  throw Error(ErrorCode::kIo, concat("no program ", quote(name)));
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result(1);
  for (const char c : text) {
    if (c != ' ') {
      result.back() += c;
    } else if (!result.back().empty()) {
      result.emplace_back();
    }
  }
  if (result.back().empty()) result.pop_back();
  return result;
}

}  // namespace

Json Output::json() const {
  try {
    return Json::parse(out);
  } catch (const Error& e) {
    throw Error(e.code(), concat(e.msg(), "; ", text()));
  }
}

std::string Output::text() const {
  return concat(status.text(), "\n--- stdout\n", out, "\n--- stderr\n", err);
}

Process Process::start(const Command& command) {
  const std::string program = find_program(command.argv.at(0));
  std::vector<std::string> argv = command.argv;
  std::vector<std::string> env = command.env.empty() ? current_environment() : command.env;
  const auto argv_pointers = pointers(argv);
  const auto env_pointers = pointers(env);
  const Fd in = memory_file("stdin");
  Fd out = memory_file("stdout");
  Fd err = memory_file("stderr");
  write_all(in.get(), command.input, "stdin of a command");
  if (::lseek(in.get(), 0, SEEK_SET) < 0) throw_errno("lseek");

  const int pid = ::fork();
  if (pid < 0) throw_errno("fork");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (command.net != nullptr && ::setns(command.net->fd(), CLONE_NEWNET) != 0) ::_exit(126);
    ::dup2(in.get(), STDIN_FILENO);
    ::dup2(out.get(), STDOUT_FILENO);
    ::dup2(err.get(), STDERR_FILENO);
    ::execve(program.c_str(), argv_pointers.data(), env_pointers.data());
    ::_exit(127);
  }
  return {pid, std::move(out), std::move(err), command.patience};
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      out_(std::move(other.out_)),
      err_(std::move(other.err_)),
      patience_(other.patience_) {}

Process::~Process() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Process::send(int signal) const {
  if (::kill(pid_, signal) != 0) throw_errno("kill");
}

Output Process::wait() {
  const Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd.valid()) throw_errno("pidfd_open");
  pollfd event{pidfd.get(), POLLIN, 0};
  const auto milliseconds = std::chrono::milliseconds(patience_).count();
  int ready = 0;
  do {
    ready = ::poll(&event, 1, static_cast<int>(milliseconds));
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) ::kill(pid_, SIGKILL);

  int status = 0;
  if (::waitpid(std::exchange(pid_, -1), &status, 0) < 0) throw_errno("waitpid");
  Output output;
  output.status.code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  output.status.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  output.out = content(out_);
  output.err = content(err_);
  return output;
}

Output run(const Command& command) { return Process::start(command).wait(); }

std::vector<Output> run_parallel(const std::vector<Command>& commands) {
  std::vector<Process> processes;
  processes.reserve(commands.size());
  for (const auto& command : commands) processes.push_back(Process::start(command));
  std::vector<Output> outputs;
  outputs.reserve(commands.size());
  for (auto& process : processes) outputs.push_back(process.wait());
  return outputs;
}

std::string tool(std::string_view line, const TestNamespace* net) {
  Output output = run({.argv = words(line), .net = net});
  if (!output.ok()) throw Error(ErrorCode::kIo, concat(line, ": ", output.text()));
  return std::move(output.out);
}

Json tool_json(std::string_view line, const TestNamespace* net) {
  const std::string text = tool(line, net);
  return text.empty() ? Json::array() : Json::parse(text);
}

std::vector<Json> tool_json_batch(std::string_view line, const std::vector<std::string>& commands,
                                  const TestNamespace* net) {
  Command batch{.argv = words(line), .net = net};
  batch.argv.insert(batch.argv.end(), {"-batch", "-"});
  for (const auto& command : commands) batch.input += concat(command, "\n");
  const Output output = run(batch);
  std::vector<Json> results;
  std::istringstream lines(output.out);
  for (std::string text; std::getline(lines, text);) {
    if (!text.empty()) results.push_back(Json::parse(text));
  }
  if (!output.ok() || results.size() != commands.size()) {
    throw Error(ErrorCode::kIo, concat(line, ": ", batch.input, output.text()));
  }
  return results;
}

}  // namespace cni::test
