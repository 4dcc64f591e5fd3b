#!/usr/bin/env bash
# lapin 4.12.3 cannot connect to a RabbitMQ whose `frame_max` is 4096, the smallest that AMQP 0-9-1 allows
# (`frame-min-size`). Its own minimum is 8192 (FRAME_MIN_SIZE in amq-protocol 10.6.3), and it answers the broker's offer
# of 4096 with that. A client must not answer with more than it was offered, so the broker closes the connection.
# py-amqp connects to the same broker.
#
# Seen with RabbitMQ 3.10.8 (frame_max = 4096) and Rust 1.95.0:
#   py-amqp 5.4.2: connected, frame_max 4096
#   lapin 4.12.3: IO error: Connection reset by peer (os error 104)
#   RabbitMQ's log: negotiated frame_max = 8192 is higher than the maximum allowed value (4096)
set -euo pipefail
folder=$(mktemp -d)
started=()
cleanup() {
    for process in "${started[@]}"; do kill "$process" 2> "$folder/kill.log" || true; done
    wait
    rm -rf "$folder"
}
trap cleanup EXIT
cd "$folder"

"${PYTHON:-python3}" -m venv venv
venv/bin/pip -q --disable-pip-version-check install amqp==5.4.2
mkdir -p client/src
cat > client/Cargo.toml <<'TOML'
[package]
name = "client"
version = "0.1.0"
edition = "2024"

[dependencies]
lapin = { version = "=4.12.3", default-features = false, features = ["tokio"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }

[profile.dev]
debug = 0

[workspace]
TOML
cat > client/src/main.rs <<'RUST'
use lapin::{Connection, ConnectionProperties};

#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).expect("an AMQP URL");
    match Connection::connect(&url, ConnectionProperties::default()).await {
        Ok(_) => println!("lapin 4.12.3: connected"),
        Err(error) => println!("lapin 4.12.3: {error}"),
    }
}
RUST
CARGO_TARGET_DIR=$folder/target nice -n 19 cargo build -q -j1 --manifest-path client/Cargo.toml

# A broker of its own, with an Erlang port mapper of its own, on free ports.
read -r amqp distribution epmd < <(venv/bin/python -c '
import socket
servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(server.getsockname()[1] for server in servers))')
mkdir -p etc/conf.d data log
printf 'listeners.tcp.local = 127.0.0.1:%s\nframe_max = 4096\n' "$amqp" > etc/rabbitmq.conf
echo '[].' > etc/enabled_plugins
export HOME=$folder ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$epmd
epmd -address 127.0.0.1 -port "$epmd" > log/epmd.log 2>&1 &
started+=("$!")
# Debian's wrapper in /usr/sbin changes the user; the script below it does not.
server=/usr/lib/rabbitmq/bin/rabbitmq-server
[ -x "$server" ] || server=rabbitmq-server
env RABBITMQ_NODENAME="finding-$amqp@127.0.0.1" RABBITMQ_USE_LONGNAME=true RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_CONFIG_FILE="$folder/etc/rabbitmq.conf" RABBITMQ_CONFIG_FILES="$folder/etc/conf.d" \
    RABBITMQ_ADVANCED_CONFIG_FILE="$folder/etc/advanced.config" RABBITMQ_ENABLED_PLUGINS_FILE="$folder/etc/enabled_plugins" \
    RABBITMQ_GENERATED_CONFIG_DIR="$folder/data/config" RABBITMQ_SCHEMA_DIR="$folder/data/schema" \
    RABBITMQ_MNESIA_BASE="$folder/data" RABBITMQ_LOG_BASE="$folder/log" RABBITMQ_LOGS=- \
    RABBITMQ_DIST_PORT="$distribution" RUNNING_UNDER_SYSTEMD=true \
    ERL_FLAGS='-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}' \
    "$server" > log/rabbitmq.log 2>&1 &
started+=("$!")

cat > connect.py <<'PYTHON'
import sys
import time

import amqp

until = time.monotonic() + 60
while True:
    connection = amqp.Connection(f"127.0.0.1:{sys.argv[1]}")
    try:
        connection.connect()
        break
    except OSError:
        if time.monotonic() > until:
            raise
        time.sleep(0.5)
print(f"py-amqp {amqp.__version__}: connected, frame_max {connection.frame_max}")
connection.close()
PYTHON
venv/bin/python connect.py "$amqp" | tee seen
target/debug/client "amqp://guest:guest@127.0.0.1:$amqp/%2f" 2> log/lapin.log | tee -a seen
sleep 1
{ grep -om1 'negotiated frame_max.*' log/rabbitmq.log || true; } | sed "s/^/RabbitMQ's log: /" | tee -a seen

if ! grep -q 'py-amqp 5.4.2: connected, frame_max 4096' seen || grep -q 'lapin 4.12.3: connected' seen \
    || ! grep -q 'negotiated frame_max' seen; then
    echo "The behaviour has changed: lapin connects with a frame_max of 4096, or is refused for another reason." >&2
    exit 1
fi
