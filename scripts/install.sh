#!/bin/sh
# Installs what `make run` (argument "run") or `make test` (argument "test") needs, and nothing twice:
# distribution packages, and .venv with the packages of the lock file and this project.
# When nothing is to be done it starts no Python and no package tool.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

purpose=${1:-run}
case $purpose in
    run) lock=requirements.lock ;;
    test) lock=requirements-dev.lock ;;
    *) say "usage: scripts/install.sh [run|test]"; exit 2 ;;
esac

# python3-venv is what Debian keeps ensurepip in.
usable_python() {
    for candidate in python3 /usr/bin/python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
        then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# A virtual environment works only at the place, and with the interpreter, that it was made for.
venv_place() { printf '%s %s\n' "$PWD" "$(readlink -f .venv/bin/python3)"; }
venv_fits() {
    [ -x .venv/bin/python3 ] && [ -r .venv/place ] && [ "$(venv_place)" = "$(cat .venv/place)" ]
}

# asynctnt publishes wheels for x86-64 alone; elsewhere that one package is compiled.
compiles() { [ "$(uname -m)" != x86_64 ]; }

missing_packages() {
    if ! venv_fits; then
        usable_python >/dev/null || echo python3-venv
        if compiles; then
            have gcc || echo gcc libc6-dev
            [ -e /usr/include/python3.11/Python.h ] || echo python3-dev
        fi
    fi
    have tarantool || echo tarantool
    if [ "$purpose" = test ]; then
        have chromium-headless-shell || echo chromium-headless-shell
        # Playwright brings a Node.js of its own, which needs this library.
        [ -e "/usr/lib/$(uname -m)-linux-gnu/libatomic.so.1" ] || echo libatomic1
        [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || echo fonts-dejavu-core
        have luacheck || echo lua-check
        have softhsm2-util || echo softhsm2
    fi
}

# Debian's tarantool enables no instance, so its unit only runs /bin/true: no server is left behind.
install_packages() {
    if ! have apt-get; then
        say "Please install $* (Debian's names) with this system's package tool, then repeat the command."
        exit 1
    fi
    if [ "$(id -u)" -eq 0 ]; then
        as_root=
    elif have sudo; then
        as_root=sudo
    else
        say "Please have an administrator run: apt-get install --no-install-recommends $*"
        exit 1
    fi
    say "Installing $* ..."
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0"
    # One repository that does not answer need not matter: the installation below decides.
    $apt update || say "apt-get update failed; going on with the package lists that are there."
    $apt install --yes --no-install-recommends "$@" >/dev/null || {
        say "apt-get could not install $*; the reason stands above."
        exit 1
    }
}

make_venv() {
    python=$(usable_python) || {
        say "Please install Python 3.11 or newer with its venv and ensurepip modules."
        exit 1
    }
    "$python" -m venv --clear .venv
    venv_place >.venv/place
}

install_python_packages() {
    say "Installing the Python packages of $lock ..."
    # Wheels only: no package's set-up code runs.
    compiled=
    ! compiles || compiled="--no-binary asynctnt"
    # shellcheck disable=SC2086 # an option and its value, or nothing
    .venv/bin/python3 -m pip install --quiet --disable-pip-version-check --no-input \
        --only-binary :all: $compiled --require-hashes --requirement "$lock"
    # setuptools comes from the lock, so building the editable install fetches nothing.
    .venv/bin/python3 -m pip install --quiet --disable-pip-version-check --no-input \
        --no-index --no-build-isolation --no-deps --editable .
}

packages=$(missing_packages)
# shellcheck disable=SC2086 # one word for each package
[ -z "$packages" ] || install_packages $packages

venv_fits || make_venv

stamp=.venv/installed.$purpose
wanted=$(sha256sum "$lock" pyproject.toml)
if ! [ -x .venv/bin/idp ] || ! [ -r "$stamp" ] || [ "$wanted" != "$(cat "$stamp")" ]; then
    install_python_packages
    printf '%s\n' "$wanted" >"$stamp"
    # The development lock holds all of the other one.
    [ "$purpose" = run ] || sha256sum requirements.lock pyproject.toml >.venv/installed.run
fi
