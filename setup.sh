#!/bin/sh
# Sets up, builds and tries expertsim. Debian, Ubuntu and their kin by apt, macOS by Homebrew; only what is missing is installed.
set -eu

usage() {
    cat <<'END'
sh setup.sh VERB

    run           install what is missing, build, run the quickstart and say where to look
    test          the same, then the tests
    deps          install what is missing, nothing else
    build [DIR]   build into DIR (default: build/ beside this script); the tool is DIR/expertsim
    deps-ci       what .ci/run needs besides: clang with its sanitizers, an Objective-C runtime, a browser
    torch [DIR]   a Python environment in DIR (default: build-torch/) for recording from models and training them: PyTorch, transformers,
                  h5py (some GB); the tests of traces/capture run when EXPERTSIM_TORCH names its bin/python
END
}

here=$PWD
root=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
log=$(mktemp "${TMPDIR:-/tmp}/expertsim-setup.XXXXXX")
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "setup: $*"; }
fail() { printf '%s\n' "setup.sh: $*" >&2; exit 1; }

# quietly WHAT COMMAND...: one line when it goes well, the end of its output when it does not.
quietly() {
    say "$1"
    shift
    "$@" >"$log" 2>&1 </dev/null && return
    tail -n 40 "$log" >&2
    fail "this failed: $*"
}

# --- dependencies ---------------------------------------------------------------------------------------------------------------

# Debian package, Homebrew formula, how to see that it is there: a program, a library of pkg-config, or a function below.
needs='
build-essential       -           has_compiler
meson                 meson       program:meson
ninja-build           ninja       program:ninja
pkg-config            pkg-config  program:pkg-config
libcjson-dev          cjson       library:libcjson
libgsl-dev            gsl         library:gsl
libhdf5-dev           hdf5        library:hdf5
zlib1g-dev            zlib        library:zlib
libzstd-dev           zstd        library:libzstd
libcmocka-dev         cmocka      library:cmocka
liburing-dev          -           has_uring
libopenblas0-pthread  openblas    has_openblas
gnuplot-nox           gnuplot     program:gnuplot
python3               python3     program:python3
'
needs_ci='
clang                 llvm        program:clang
libclang-rt-14-dev    -           has_sanitizers
gobjc                 -           has_objc
chromium              -           program:chromium
'

has_compiler() {
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' | cc -x c -o /dev/null - 2>/dev/null
}

# io_uring is Linux's own.
has_uring() {
    [ "$(uname -s)" != Linux ] || pkg-config --exists liburing 2>/dev/null
}

# A library that is loaded while the tool runs: there is nothing to compile against.
has_openblas() {
    case $(uname -s) in
    Darwin) [ -d "$(brew --prefix openblas 2>/dev/null)/lib" ] ;;
    *) ldconfig -p 2>/dev/null | grep -q 'libopenblas\.so\.0' || /sbin/ldconfig -p | grep -q 'libopenblas\.so\.0' ;;
    esac
}

has_sanitizers() {
    printf 'int LLVMFuzzerTestOneInput(void) { return 0; }\n' |
        clang -fsanitize=fuzzer,address,undefined -x c -o /dev/null - 2>/dev/null
}

# The runtime that the Metal probe is tried on where there is no Mac.
has_objc() {
    [ "$(uname -s)" = Darwin ] || printf 'int main(void) { return 0; }\n' | cc -x c -o /dev/null - -lobjc 2>/dev/null
}

is_there() {
    case $1 in
    program:*) command -v "${1#*:}" >/dev/null 2>&1 ;;
    library:*) pkg-config --exists "${1#*:}" 2>/dev/null ;;
    *) "$1" ;;
    esac
}

# missing COLUMN TABLE: names in that column of what is not there.
missing() {
    printf '%s\n' "$2" | while read -r debian brew check; do
        if [ -z "$debian" ] || is_there "$check"; then continue; fi
        if [ "$1" = debian ]; then printf '%s ' "$debian"; elif [ "$brew" != - ]; then printf '%s ' "$brew"; fi
    done
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_install() {
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
        fail "installing packages takes root, and there is no sudo; have root run: apt-get install --no-install-recommends $*"
    fi
    if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then
        quietly "apt-get update" as_root apt-get -q update
    fi
    say "apt-get install $* (a minute or two)"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@" >"$log" 2>&1 </dev/null && return
    # Old lists name packages that the mirror no longer has.
    quietly "apt-get update, for the lists are old" as_root apt-get -q update
    quietly "apt-get install, once more" as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "$@"
}

# deps TABLE
deps() {
    absent=$(missing debian "$1")
    [ -n "$absent" ] || { say "everything needed is installed"; return; }
    # The words of a list are meant to be split.
    if [ "$(uname -s)" = Darwin ]; then
        has_compiler || fail "the compiler is missing: xcode-select --install, then once more"
        command -v brew >/dev/null 2>&1 || fail "Homebrew is missing (https://brew.sh); with it: brew install $(missing brew "$1")"
        # shellcheck disable=SC2046
        quietly "brew install (minutes)" brew install $(missing brew "$1")
    elif command -v apt-get >/dev/null 2>&1; then
        # shellcheck disable=SC2086
        apt_install $absent
    else
        fail "no apt-get and no Homebrew here; install these yourself (Debian's names): $absent"
    fi
    absent=$(missing debian "$1")
    [ -z "$absent" ] || fail "installed, but still not found: $absent"
}

# --- build, run, test -----------------------------------------------------------------------------------------------------------

# build DIR
build() {
    if [ -f "$1/meson-private/coredata.dat" ]; then
        quietly "meson setup --reconfigure ($1)" meson setup --reconfigure --buildtype=release "$1" "$root"
    else
        quietly "meson setup ($1)" meson setup --buildtype=release "$1" "$root"
    fi
    quietly "meson compile (half a minute)" meson compile -C "$1"
    say "built $1/expertsim"
}

quickstart() {
    deps "$needs"
    build "$root/build"
    cd -- "$root"
    say "build/expertsim run configs/quickstart.json --out out/quickstart"
    build/expertsim run configs/quickstart.json --out out/quickstart
    cat <<END

Where to look
    $root/out/quickstart   the same numbers and more, for programs: result.json (docs/results.md says what they mean), result.h5
    $root/configs          what was simulated (quickstart.json) and more of the kind

What to try next, in $root
    build/expertsim run configs/quickstart.json --set policy=lfu                 another policy
    build/expertsim run configs/quickstart.json --set tiers.cache.capacity=25%   another cache
    build/expertsim list                                                         what there is to choose from
    build/expertsim describe contract                                            what the keys of a config mean
    build/expertsim help run                                                     all options of run

END
}

run_tests() {
    quickstart
    say "meson test"
    meson test -C "$root/build" --no-rebuild --print-errorlogs
}

# torch_env DIR
torch_env() {
    python3 -c 'import ensurepip, venv' 2>/dev/null || fail "python3 has no venv; on Debian: apt-get install python3-venv"
    [ -x "$1/bin/pip" ] || quietly "python3 -m venv $1" python3 -m venv "$1"
    quietly "pip install torch transformers h5py numpy (minutes)" "$1/bin/pip" install 'torch>=2.6' 'transformers>=5' h5py numpy
    "$1/bin/python" -c 'import h5py, numpy, torch, transformers' || fail "$1: installed, but Python cannot import it"
    say "EXPERTSIM_TORCH=$1/bin/python"
}

case ${1-} in
run) quickstart ;;
test) run_tests ;;
deps) deps "$needs" ;;
deps-ci) deps "$needs_ci" ;;
torch)
    case ${2:-$root/build-torch} in
    /*) torch_env "${2:-$root/build-torch}" ;;
    *) torch_env "$here/$2" ;;
    esac
    ;;
build)
    case ${2:-$root/build} in
    /*) build "${2:-$root/build}" ;;
    *) build "$here/$2" ;;
    esac
    ;;
'' | help | -h | --help) usage ;;
*)
    usage >&2
    fail "\"$1\" is no verb"
    ;;
esac
