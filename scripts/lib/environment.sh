# Sourced by the scripts: brings a fresh Debian or Ubuntu machine to where the project runs.
# Everything goes into .venv below the checkout; system packages only where something is missing.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=$ROOT/.venv
TORCH_INDEX=https://download.pytorch.org/whl/cpu

step() { printf '\n== %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$1" >&2; exit "${2:-3}"; }

# need_packages CHECK=PACKAGE...: installs the packages whose CHECK fails. CHECK is a command's name
# or, with a slash in it, a file.
need_packages() {
  local missing=() pair check
  for pair in "$@"; do
    check=${pair%%=*}
    case $check in
      */*) [ -e "$check" ] || missing+=("${pair#*=}") ;;
      *) command -v "$check" >/dev/null || missing+=("${pair#*=}") ;;
    esac
  done
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

install_packages() {
  command -v apt-get >/dev/null || fail "these system packages are missing: $*"
  if [ "$(id -u)" -ne 0 ]; then
    fail "system packages are missing; install them and run this again:
  sudo apt-get install -y --no-install-recommends $*"
  fi
  step "installing system packages: $*"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# need_environment EXTRAS [BASE]: $VENV with the project installed as .[EXTRAS], exactly as pinned.
# With BASE, another such environment, it sees all that is there and holds only what is not.
need_environment() {
  local python stamp wanted base=${2:-}
  python=$(find_python)
  wanted=$(cat "$ROOT/pyproject.toml" "$ROOT/scripts/constraints.txt" | sha256sum | cut -c1-16)
  stamp=$VENV/.installed-$1
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    if [ ! -x "$VENV/bin/pip" ]; then
      step "making a virtual environment in ${VENV##*/}"
      rm -rf "$VENV"
      "$python" -m venv "$VENV" || fail "python -m venv failed; on Debian and Ubuntu:
  sudo apt-get install -y python3-venv"
    fi
    [ -z "$base" ] || "$VENV/bin/python" - "$base" <<'PYTHON'
import pathlib, subprocess, sys, sysconfig
say = "import sysconfig; print(sysconfig.get_path('purelib'))"
base = subprocess.run([f"{sys.argv[1]}/bin/python", "-c", say], capture_output=True, text=True, check=True)
line = f"import site; site.addsitedir({base.stdout.strip()!r})\n"
pathlib.Path(sysconfig.get_path("purelib"), "base.pth").write_text(line)
PYTHON
    install_torch
    step "installing the project and what it needs"
    pip_install --constraint "$ROOT/scripts/constraints.txt" --editable "$ROOT[$1]"
    printf '%s' "$wanted" >"$stamp"
  fi
  export PATH="$VENV/bin:$PATH"
}

# A CPU build of torch: from PyTorch's own index where it can be reached, else a pinned install.
install_torch() {
  local version options=()
  version=$(sed -n 's/^torch==//p' "$ROOT/scripts/constraints.txt")
  "$VENV/bin/python" -c "import sys, importlib.metadata as m
sys.exit(m.version('torch').partition('+')[0] != '$version')" 2>/dev/null && return
  if "$VENV/bin/python" -c "import urllib.request as u
u.urlopen('$TORCH_INDEX/torch/', timeout=10)" 2>/dev/null; then
    options=(--index-url "$TORCH_INDEX")
  fi
  step "installing torch $version (CPU)"
  pip_install "${options[@]}" "torch==$version"
}

# Python compiles what it imports, a fifth of what is installed: where it may keep that, pip need not
# compile everything.
pip_install() {
  local options=(--disable-pip-version-check --progress-bar "$(bar)")
  [ -n "${PYTHONDONTWRITEBYTECODE:-}" ] || options+=(--no-compile)
  "$VENV/bin/pip" install "${options[@]}" "$@" | summary
}

# PYTHON, or the first Python that the pinned packages have wheels for.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
      2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "Python 3.11, 3.12 or 3.13 is needed; install one, or set PYTHON to its path" 2
}

bar() { if [ -t 1 ]; then echo on; else echo off; fi; }
# pip says a line for each of a hundred packages: on a terminal show its bars, in a log the end.
summary() { if [ -t 1 ]; then cat; else grep -E '^(Successfully|ERROR|WARNING: The)' || true; fi; }
