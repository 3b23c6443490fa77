#!/bin/sh
# Installs one of the servers that we are measured beside into build/peers: node-oidc-provider or keycloak.
# Fetched by the package tools of their own languages, in the versions below; nothing twice.
set -eu
cd "$(dirname "$0")/../.."

node_version=9.13.3
keycloak_version=26.7.3
keycloak_sha512=664c8ac2997d94b69825af70acc3a6017a7a53a1504a6e21b2d82a04e5f53593b30cabdf80ffe3eb661f13442a57fbc15c4186a1899f2841e8145532e5ae7e1c

say() { printf '%s\n' "$*" >&2; }
need() {
    command -v "$1" >/dev/null 2>&1 || {
        say "$2 is missing: please install it (Debian's name), then repeat the command."
        exit 1
    }
}

install_node() {
    place=build/peers/node-oidc-provider-$node_version
    if ! [ -e "$place/installed" ]; then
        need npm npm
        say "Installing node-oidc-provider $node_version ..."
        rm -rf "$place"
        mkdir -p "$place"
        npm install --prefix "$place" --ignore-scripts --no-audit --no-fund --no-package-lock --loglevel=error \
            "oidc-provider@$node_version" >/dev/null
        touch "$place/installed"
    fi
    printf '%s\n' "$place"
}

# Its build step fixes the kind of the database, as production mode wants it.
install_keycloak() {
    place=build/peers/keycloak-$keycloak_version
    if ! [ -e "$place/installed" ]; then
        need mvn maven
        need java openjdk-17-jre-headless
        [ -x "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)" ] || need initdb postgresql
        say "Installing Keycloak $keycloak_version, which takes some minutes ..."
        archive=build/peers/keycloak-quarkus-dist-$keycloak_version.tar.gz
        mvn -q -B dependency:copy -DoutputDirectory="$PWD/build/peers" \
            -Dartifact="org.keycloak:keycloak-quarkus-dist:$keycloak_version:tar.gz" >&2
        printf '%s  %s\n' "$keycloak_sha512" "$archive" | sha512sum --check --status || {
            say "Keycloak $keycloak_version is not what it was when it was chosen."
            exit 1
        }
        rm -rf "$place"
        tar -xzf "$archive" -C build/peers
        rm "$archive"
        "$place/bin/kc.sh" build --db=postgres --health-enabled=false >&2
        touch "$place/installed"
    fi
    printf '%s\n' "$place"
}

case ${1:-} in
    node-oidc-provider) install_node ;;
    keycloak) install_keycloak ;;
    *) say "usage: benchmarks/peers/install.sh node-oidc-provider|keycloak"; exit 2 ;;
esac
