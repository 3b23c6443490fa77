#!/bin/sh
# Installs what `make run` (argument "run"), `make test` ("test") or `make bench` ("bench") needs, and
# nothing twice: distribution packages, .venv with the packages of the lock file and this project, in
# it the JavaScript that the tests use (a library to sign in with, an SMS centre to send codes to), and
# in build/ the load generator.
# When nothing is to be done it starts no Python and no package tool.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

purpose=${1:-run}
case $purpose in
    run | bench) lock=requirements.lock ;;
    test) lock=requirements-dev.lock ;;
    *) say "usage: scripts/install.sh [run|test|bench]"; exit 2 ;;
esac

# Its bundle for browsers needs no other package, so npm fetches it and installs nothing.
library=oidc-client-ts
library_version=3.5.0
library_sha512=976abc97d0930933a56d7f809cae29dccfb8084a4aa7242195ee9b95091d1619b422c06ab319b5e5b61a49ad751bba5676c62be9ea5db116712690b20916d3f0
library_file=.venv/browser/$library-$library_version.js

# The SMS centre: a package with all that it needs, fetched likewise.
sms_centre=.venv/javascript/smpp-0.5.1
sms_centre_packages='
smpp 0.5.1 7a43c264956e19c377b6fb497b29305b3e23cf3fa367bf7570753ba798a1adc3b1be6cb04f1388e287663adab2c4198f78816f1dbde00a076b8c0d7506e4734b
iconv-lite 0.6.3 e1f0a4efdc2c84c773329dab1f4eaa5ab244e22a25a8b842507f8e8ae22053ef91074fbde0d9432fcd5ab4eec65f9e6e50ab9ea34b711cdb6f13223a0fb59d33
safer-buffer 2.1.2 619a372bcd920fb462ca2d04d4440fa232f3ee4a5ea6749023d2323db1c78355d75debdbe5d248eeda72376003c467106c71bbbdcc911e4d1c6f0a9c42b894b6
'

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
    if [ "$purpose" = bench ]; then
        have go || echo golang-go
        have gnuplot || echo gnuplot-nox
        have valgrind || echo valgrind
    fi
    if [ "$purpose" = test ]; then
        have chromium-headless-shell || echo chromium-headless-shell
        # Playwright brings a Node.js of its own, which needs this library.
        [ -e "/usr/lib/$(uname -m)-linux-gnu/libatomic.so.1" ] || echo libatomic1
        [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] || echo fonts-dejavu-core
        have luacheck || echo lua-check
        have softhsm2-util || echo softhsm2
        have npm || { [ -e "$library_file" ] && [ -e "$sms_centre" ]; } || echo npm
        have node || echo nodejs
        have bearerbox || echo kannel
        [ -e /usr/lib/kannel/test/fakesmsc ] || echo kannel-extras
    fi
}

# Debian's tarantool enables no instance, so its unit only runs /bin/true, and kannel's is masked:
# no server is left behind.
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
    case " $* " in
        *" kannel "*) ! have systemctl || $as_root systemctl --quiet mask kannel.service ;;
    esac
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

# fetch NAME VERSION SHA512: leaves the archive of an npm package in $unpacked, and its path in $archive.
fetch() {
    say "Installing $1 $2 ..."
    npm pack --loglevel=error --pack-destination "$unpacked" "$1@$2" >/dev/null || {
        say "npm could not fetch $1; the reason stands above."
        exit 1
    }
    archive=$unpacked/$1-$2.tgz
    printf '%s  %s\n' "$3" "$archive" | sha512sum --check --status || {
        say "$1 $2 is not what it was when it was chosen."
        exit 1
    }
}

install_browser_library() {
    fetch "$library" "$library_version" "$library_sha512"
    tar -xzf "$archive" -C "$unpacked" "package/dist/browser/$library.min.js"
    rm -rf "${library_file%/*}"
    mkdir "${library_file%/*}"
    mv "$unpacked/package/dist/browser/$library.min.js" "$library_file"
}

install_sms_centre() {
    printf '%s' "$sms_centre_packages" | while read -r name version sha512; do
        [ -n "$name" ] || continue
        fetch "$name" "$version" "$sha512"
        mkdir -p "$unpacked/sms_centre/$name"
        tar -xzf "$archive" -C "$unpacked/sms_centre/$name" --strip-components=1
    done
    rm -rf "${sms_centre%/*}"
    mkdir "${sms_centre%/*}"
    mv "$unpacked/sms_centre" "$sms_centre"
}

packages=$(missing_packages)
# shellcheck disable=SC2086 # one word for each package
[ -z "$packages" ] || install_packages $packages

venv_fits || make_venv

stamp=.venv/installed.run
[ "$purpose" != test ] || stamp=.venv/installed.test
wanted=$(sha256sum "$lock" pyproject.toml)
if ! [ -x .venv/bin/idp ] || ! [ -r "$stamp" ] || [ "$wanted" != "$(cat "$stamp")" ]; then
    install_python_packages
    printf '%s\n' "$wanted" >"$stamp"
    # The development lock holds all of the other one.
    [ "$purpose" != test ] || sha256sum requirements.lock pyproject.toml >.venv/installed.run
fi

if [ "$purpose" = test ]; then
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    [ -e "$library_file" ] || install_browser_library
    [ -e "$sms_centre" ] || install_sms_centre
fi

# Go compares contents itself, and does nothing where nothing has changed. Modules come by their hash in go.sum.
[ "$purpose" != bench ] || (cd benchmarks/loadgen && go build -o ../../build/loadgen .)
