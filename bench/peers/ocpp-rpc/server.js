// A central system on npm ocpp-rpc that validates every message and keeps nothing: a peer for `bench ocpp`.
// Argument: the port. NODE_PATH names the folder in which ocpp-rpc is installed.
const { createServer } = require("http");
const [port] = process.argv.slice(2);
const { RPCServer } = require("ocpp-rpc");

const server = new RPCServer({ protocols: ["ocpp1.6"], strictMode: true });
const now = () => new Date().toISOString();
const idTagInfo = { status: "Accepted" };
let transactions = 0;

server.on("client", (client) => {
  client.handle("BootNotification", () => ({ status: "Accepted", interval: 300, currentTime: now() }));
  client.handle("Heartbeat", () => ({ currentTime: now() }));
  client.handle("Authorize", () => ({ idTagInfo }));
  client.handle("StatusNotification", () => ({}));
  client.handle("MeterValues", () => ({}));
  client.handle("StartTransaction", () => ({ idTagInfo, transactionId: ++transactions }));
  client.handle("StopTransaction", () => ({}));
});

const http = createServer((_request, response) => response.end("ready"));
http.on("upgrade", server.handleUpgrade);
http.listen(Number(port), "127.0.0.1");
