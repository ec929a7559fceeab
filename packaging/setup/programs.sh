#!/usr/bin/env bash
# Makes sure that the programs which build, tests and demo call are there; installs Debian's packages when it may.
set -euo pipefail

# command:package. What is missing decides, so that a machine which has the programs from elsewhere is left alone.
programs=(
    gcc:gcc
    python3-config:python3-dev
    Xvnc:tigervnc-standalone-server
    vncpasswd:tigervnc-tools
    xtigervncviewer:tigervnc-viewer
    xterm:xterm
    xauth:xauth
    xclock:x11-apps
    setxkbmap:x11-xkb-utils
    xdpyinfo:x11-utils
    xwininfo:x11-utils
    xsetroot:x11-xserver-utils
    xdotool:xdotool
    xclip:xclip
    xloadimage:xloadimage
    x11vnc:x11vnc
    i3lock:i3lock
    nft:nftables
    ip:iproute2
    setpriv:util-linux
    strace:strace
    faketime:faketime
    systemd-analyze:systemd
    fc-match:fontconfig
    prometheus:prometheus
    promtool:prometheus
)
files=(
    /usr/include/stdlib.h:libc6-dev
    /usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf:fonts-dejavu-core
    /usr/share/fonts/opentype/ipafont-gothic/ipag.ttf:fonts-ipafont-gothic
)

# sbin is not on the path of every ordinary user.
PATH="$PATH:/usr/sbin:/sbin"

missing=()
for entry in "${programs[@]}"; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry##*:}")
done
for entry in "${files[@]}"; do
    [ -e "${entry%%:*}" ] || missing+=("${entry##*:}")
done

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing: install Rust 1.95 or newer, then run make setup again" >&2
    exit 1
fi

[ "${#missing[@]}" -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup: missing programs; the Debian packages that hold them are: ${missing[*]}" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "setup: missing packages; run this as root, then make setup again:" >&2
    echo "  apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
echo "setup: installing ${missing[*]}"
# The package's own service would listen for everybody; tests and `make observe` start a Prometheus of their own.
[[ " ${missing[*]} " != *" prometheus "* ]] || ln -sfn /dev/null /etc/systemd/system/prometheus.service
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
