"""The peers, an entry each: what they need, their configuration for speed, what runs."""

from collections.abc import Mapping
from typing import Final

from tests.bench.peers.peer import Crate, Debian, GoModule, Peer

# ---------------------------------------------------------------- HAProxy

_HAPROXY: Final = Debian("usr/sbin/haproxy", ["haproxy"])
_HAPROXY_RUNS: Final = "$debian/usr/sbin/haproxy -db -f $folder/haproxy.cfg"


def _haproxy(options: str = "", bind: str = "", server: str = "") -> Mapping[str, str]:
    text = f"""\
global
  nbthread 1
  maxconn 6000
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256
  ssl-default-server-ciphersuites TLS_AES_128_GCM_SHA256
  tune.ssl.cachesize 0
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
  {options}
frontend front
  bind $front backlog 4096 {bind}
  default_backend back
backend back
  server office $back {server}
"""
    return {"haproxy.cfg": text}


# ---------------------------------------------------------------- nginx

_NGINX: Final = Debian("usr/sbin/nginx", ["nginx", "libnginx-mod-stream"])
_NGINX_CONFIGURATION: Final = """\
load_module $debian/usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; worker_processes 1; user root; pid $folder/nginx.pid; error_log $folder/nginx.log crit;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
stream {
  access_log off; tcp_nodelay on; proxy_buffer_size 64k; proxy_timeout 1h;
  server { listen $front backlog=4096; proxy_pass $back; }
}
"""

# ---------------------------------------------------------------- tunnels

# Without a feature `rustls` its TLS is OpenSSL's. Its lock file does not build with a compiler of today.
_RATHOLE: Final = Crate("rathole", "0.5.0", ["server", "client", "tls"])


def _rathole(server: str = "", client: str = "") -> Mapping[str, str]:
    return {
        "server.toml": f"""\
[server]
bind_addr = "127.0.0.1:$control"
default_token = "bench"
{server}
[server.services.screen]
bind_addr = "$front"
""",
        "client.toml": f"""\
[client]
remote_addr = "127.0.0.1:$control"
default_token = "bench"
{client}
[client.services.screen]
local_addr = "$back"
""",
    }


_RATHOLE_TLS_SERVER: Final = """\
[server.transport]
type = "tls"
[server.transport.tls]
pkcs12 = "$folder/../tls/office.p12"
pkcs12_password = "bench"
"""
_RATHOLE_TLS_CLIENT: Final = """\
[client.transport]
type = "tls"
[client.transport.tls]
trusted_root = "$folder/../tls/ca.pem"
hostname = "localhost"
"""

_SSH: Final = Debian("usr/sbin/sshd", ["openssh-server", "openssh-client"])
_SSHD_CONFIGURATION: Final = """\
ListenAddress 127.0.0.1
Port $control
HostKey $folder/../ssh/host
PidFile none
AuthorizedKeysFile $folder/../ssh/user.pub
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
AllowTcpForwarding yes
Ciphers aes128-gcm@openssh.com
MaxStartups 100
UseDNS no
LogLevel ERROR
"""

# It wants a user, a folder, and an account that is not locked: it sees some of its own.
_SSHD_RUNS: Final = (
    "unshare --mount sh -c '"
    "mount --bind $folder/passwd /etc/passwd && mount --bind $folder/shadow /etc/shadow && "
    "mount -t tmpfs none /run && mkdir /run/sshd && "
    "exec $debian/usr/sbin/sshd -D -e -f $folder/sshd_config'"
)

_FRP: Final = GoModule(
    "github.com/fatedier/frp",
    "v0.70.1",
    {"frps": "cmd/frps", "frpc": "cmd/frpc"},
    tags=["noweb"],
    replaced={"github.com/hashicorp/yamux": "github.com/fatedier/yamux@v0.0.0-20250825093530-d0154be01cd6"},
)


def _frp(*, mux: bool, tls: bool) -> Mapping[str, str]:
    shared = f'transport.tcpMux = {str(mux).lower()}\nlog.level = "error"\n'
    return {
        "frps.toml": 'bindAddr = "127.0.0.1"\nbindPort = $control\nproxyBindAddr = "$host"\n' + shared,
        "frpc.toml": (
            f'serverAddr = "127.0.0.1"\nserverPort = $control\ntransport.tls.enable = {str(tls).lower()}\n'
            f'{shared}[[proxies]]\nname = "screen"\ntype = "tcp"\n'
            'localIP = "$back_host"\nlocalPort = $back_port\nremotePort = $port\n'
        ),
    }


def _frp_peer(name: str, title: str, *, mux: bool, tls: bool) -> Peer:
    return Peer(
        name,
        title,
        [_FRP],
        "$go/frps -c $folder/frps.toml",
        "$go/frpc -c $folder/frpc.toml",
        _frp(mux=mux, tls=tls),
        is_extra=True,
    )


PEERS: Final[tuple[Peer, ...]] = (
    Peer("direct", "no relay: homes dial the office"),
    Peer(
        "haproxy-splice",
        "HAProxy, splice both ways",
        [_HAPROXY],
        _HAPROXY_RUNS,
        files=_haproxy("option splice-request\n  option splice-response"),
    ),
    Peer("haproxy-copy", "HAProxy, copying", [_HAPROXY], _HAPROXY_RUNS, files=_haproxy()),
    Peer(
        "nginx",
        "nginx stream, buffers of 64 KiB",
        [_NGINX],
        "$debian/usr/sbin/nginx -p $folder -e $folder/nginx.log -c $folder/nginx.conf",
        files={"nginx.conf": _NGINX_CONFIGURATION},
    ),
    Peer(
        "haproxy-tls",
        "HAProxy, TLS 1.3 on both legs",
        [_HAPROXY],
        _HAPROXY_RUNS,
        files=_haproxy(
            bind="ssl crt $folder/../tls/office.pem",
            server="ssl verify required ca-file $folder/../tls/ca.pem sni str(localhost) "
            "ssl-min-ver TLSv1.3 no-ssl-reuse",
        ),
        has_tls=True,
    ),
    Peer(
        "floor-tls",
        "decrypt, copy, encrypt, and nothing else: of our own, no relay",
        relay="$load traffic between --front $front --to $back "
        "--tls $folder/../tls/ca.pem $folder/../tls/office.pem",
        has_tls=True,
    ),
    Peer(
        "rathole",
        "rathole, agent leg in clear",
        [_RATHOLE],
        "$cargo/rathole --server $folder/server.toml",
        "$cargo/rathole --client $folder/client.toml",
        _rathole(),
    ),
    Peer(
        "rathole-tls",
        "rathole, agent leg in TLS",
        [_RATHOLE],
        "$cargo/rathole --server $folder/server.toml",
        "$cargo/rathole --client $folder/client.toml",
        _rathole(_RATHOLE_TLS_SERVER, _RATHOLE_TLS_CLIENT),
    ),
    Peer(
        "ssh-R",
        "OpenSSH reverse tunnel, one connection",
        [_SSH],
        _SSHD_RUNS,
        "$debian/usr/bin/ssh -F none -N -T -p $control -i $folder/../ssh/user -o StrictHostKeyChecking=no "
        "-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ExitOnForwardFailure=yes "
        "-R $front:$back root@127.0.0.1",
        {
            "sshd_config": _SSHD_CONFIGURATION,
            "passwd": "root:x:0:0::/root:/bin/sh\nsshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n",
            "shadow": "root:NP:20000:0:99999:7:::\nsshd:NP:20000:0:99999:7:::\n",
        },
    ),
    _frp_peer("frp", "frp, a connection a stream, in clear", mux=False, tls=False),
    _frp_peer("frp-mux", "frp, all streams in one connection, in clear", mux=True, tls=False),
    _frp_peer("frp-tls", "frp, a connection a stream, in TLS", mux=False, tls=True),
    Peer(
        "chisel",
        "chisel, agent leg in SSH over a websocket",
        [GoModule("github.com/jpillora/chisel", "v1.10.1", {"chisel": ""})],
        "$go/chisel server --host 127.0.0.1 -p $control --reverse --auth user:bench",
        "$go/chisel client --auth user:bench http://127.0.0.1:$control R:$front:$back",
        is_extra=True,
    ),
    Peer(
        "stunnel",
        "stunnel twice: TLS between agent and relay",
        [Debian("usr/bin/stunnel4", ["stunnel4"])],
        "$debian/usr/bin/stunnel4 $folder/relay.conf",
        "$debian/usr/bin/stunnel4 $folder/agent.conf",
        {
            "relay.conf": "foreground = yes\npid =\nsyslog = no\ndebug = err\nclient = yes\n"
            "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
            "[screen]\naccept = $front\nconnect = 127.0.0.1:$control\nCAfile = $folder/../tls/ca.pem\n",
            "agent.conf": "foreground = yes\npid =\nsyslog = no\ndebug = err\n"
            "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
            "[screen]\naccept = 127.0.0.1:$control\nconnect = $back\ncert = $folder/../tls/office.pem\n",
        },
        is_extra=True,
    ),
)
"""In the order in which they are shown."""
