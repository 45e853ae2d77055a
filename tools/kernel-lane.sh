# SPDX-License-Identifier: Apache-2.0
# Copyright the cnipp authors
# shellcheck shell=bash disable=SC2034,SC2154 # the scripts that source it share its variables
#
# What tools/stock-kernel and tools/user-mode-kernel share: options, packages, and how COMMAND is
# run in the booted machine and its output and status come out. They set $name and
# $default_modules.

say() { printf '%s: %s\n' "$name" "$*" >&2; }
fail() { say "$*"; exit 125; }
skip() { say "cannot run here: $*"; exit 77; }

parse_options() {
  modules=() write_dir='' limit=1800 memory=1536 check=no
  while (($#)); do
    case $1 in
      --modules | --write | --timeout | --memory)
        (($# > 1)) || fail "$1 needs a value"
        case $1 in
          --modules) read -ra modules -d '' <<<"$2" || true ;;
          --write) write_dir=$2 ;;
          --timeout) limit=$2 ;;
          --memory) memory=$2 ;;
        esac
        shift 2
        ;;
      --check) check=yes; shift ;;
      --help | -h) usage; exit 0 ;;
      --) shift; break ;;
      -*) fail "unknown option $1 (see --help)" ;;
      *) break ;;
    esac
  done
  command=("$@")

  [[ $limit =~ ^[1-9][0-9]{0,6}$ ]] || fail "--timeout: '$limit' is not a number of seconds"
  [[ $memory =~ ^[1-9][0-9]{2,5}$ ]] || fail "--memory: '$memory' is not a number of MB (100 or more)"
  if [[ $write_dir ]]; then
    [[ -d $write_dir ]] || fail "--write: no folder '$write_dir'"
    write_dir=$(realpath -- "$write_dir")
    [[ $write_dir != / ]] || fail "--write: / itself cannot be shared writable"
  fi
  [[ $check == yes ]] || ((${#command[@]})) || fail "no command given (see --help)"
}

# Sets $apt_error when it fails. The sandbox user of apt cannot write to a
# private cache folder.
apt() {
  local output
  output=$(DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o APT::Sandbox::User=root -o DPkg::Lock::Timeout=300 "$@" </dev/null 2>&1) && return
  apt_error=$(grep -m 1 '^E: ' <<<"$output" || tail -n 1 <<<"$output")
  return 1
}

require_machine() {
  [[ $(uname -sm) == 'Linux x86_64' ]] || skip "this is $(uname -sm), not Linux x86_64"
  ((EUID == 0)) || skip "needs root"
  if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    skip "needs apt and dpkg (Debian)"
  fi
  cache=$(realpath -m -- "${CNIPP_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/cnipp}")/$name
}

# Second half, run by bash as process 1 in the final file system.
write_main() {
  local variable
  local environment=(HOME=/root LANG=C.UTF-8 "PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
  for variable in $(compgen -e); do
    case $variable in
      CNIPP_* | CI) environment+=("$variable=${!variable}") ;;
    esac
  done
  cat <<END
modules=(${modules[@]@Q})
environment=(${environment[@]@Q})
start_dir=${start_dir@Q}
command=(${command[@]@Q})
END
  cat <<'END'
main() {
  PATH=/usr/sbin:/usr/bin:/sbin:/bin
  mount --make-rshared /
  modprobe -aq "${modules[@]}"

  # Through a pipe, for the command may open /dev/stdout again.
  exec 5> >(exec cat >&3)
  local reader=$! status=0 process
  cd "$start_dir"
  echo started >&4
  setsid --wait env -i "${environment[@]}" "${command[@]}" >&5 2>&1 3>&- 4>&- 5>&- || status=$?
  exec 5>&-
  for process in /proc/[0-9]*; do
    process=${process#/proc/}
    [[ $process == 1 || $process == "$reader" ]] || kill -KILL "$process" 2>/dev/null
  done
  wait "$reader"
  echo "exit $status" >&4
}
main </dev/null
echo o >/proc/sysrq-trigger
while :; do sleep 60; done
END
}

# $1: below it are the modules, in lib/modules/$release.
note_missing_modules() {
  local missing
  missing=$({ modprobe -a -n -C /dev/null -d "$1" -S "$release" "${modules[@]}" 2>&1 || true; } |
    sed -nE 's/.*Module ([^ ]+) not found.*/\1/p' | paste -sd' ')
  [[ ! $missing ]] || say "kernel $release has no module: $missing"
}

# shellcheck disable=SC2317 # called by a trap
cleanup() {
  if [[ $vm ]]; then
    kill "$vm" 2>/dev/null || true
    wait "$vm" 2>/dev/null || true
  fi
  cd /
  rm -rf "$work" "$build"
}

finish() {
  local result=$1 status
  status=$(sed -n 's/^exit //p' "$work/job/status")
  [[ ! $status ]] || exit "$status"

  local where='before the command was started'
  ! grep -q started "$work/job/status" || where='while the command was running'
  if ((result == 124 || result == 137)); then
    say "no end after $limit s: the time ran out $where"
  else
    say "the virtual machine died $where"
  fi
  say "its last words:"
  cat "$work/machine" "$work/console" 2>/dev/null | tr -cd '\n\t -~' | tail -n 40 | sed 's/^/  /' >&2
  exit 125
}

prepare_to_run() {
  trap cleanup EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

# The folder $work/job, which the machine sees.
make_job() {
  work=$(mktemp -d)
  mkdir "$work/job"
  : >"$work/job/output"
  : >"$work/job/status"
  write_main >"$work/job/main"
}

# Runs the machine, which these words start, until it ends; then ends itself.
run_machine() {
  local result=0 reader
  # If this shell is killed the hard way, the machine must not stay behind.
  setpriv --pdeathsig TERM timeout --kill-after=5 "$limit" "$@" </dev/null >"$work/machine" 2>&1 &
  vm=$!
  # If nobody reads on (as with "| head"), there is no point in going on.
  { tail -c +1 -s 0.2 --pid="$vm" -f "$work/job/output" || kill "$$"; } 2>/dev/null &
  reader=$!
  wait "$vm" || result=$?
  vm=''
  wait "$reader" || true
  finish "$result"
}

start_dir=$(pwd -P) apt_error='' work='' build='' vm=''
