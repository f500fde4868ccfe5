// What a plugin has to do to be started by Sigra, without an SDK: the handshake, mutual TLS, the way back to Sigra's own
// services, and the end. Nothing in here is about what the plugin does; that is in index.js.
import { X509Certificate, randomUUID } from "node:crypto";
import net from "node:net";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import selfsigned from "selfsigned";

const here = path.dirname(fileURLToPath(import.meta.url));
// Sigra's contract. A plugin outside of Sigra's source brings a copy of that folder and names it in its block's env.
const contract = process.env.SIGRA_PROTO ?? path.join(here, "..", "..", "..", "pluginsdk", "proto");

const { sigra, plugin, grpc: { health } } = grpc.loadPackageDefinition(protoLoader.loadSync(
  ["sigra/plugin/v1/plugin.proto", "sigra/host/v1/host.proto", "go_plugin.proto", "health.proto"],
  { includeDirs: [contract, path.join(here, "proto")], keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true },
));

const maxMessage = 4 << 20;

/** log writes a line that appears in Sigra's log, at its level and under the plugin's name. */
export function log(level, message, fields = {}) {
  process.stderr.write(JSON.stringify({ "@level": level, "@message": message, ...fields }) + "\n");
}

/**
 * serve runs a plugin until Sigra lets it go.
 *
 * manifest is the answer to Describe; configure(settings, host, request) takes the settings and may return diagnostics;
 * seams are the implementations by the full name of their service. host(name) is a client of one of Sigra's services.
 */
export async function serve({ manifest, configure, seams, stop = async () => {} }) {
  if (process.env.SIGRA_PLUGIN_COOKIE !== "f2b7c0de-sigra-plugin") {
    process.stderr.write("This program is a plugin: Sigra starts it.\n");
    process.exit(1);
  }
  // Standard output is for the one line of the handshake. Whatever prints later goes to where Sigra reads the log.
  const handshake = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr);
  // A terminal or a service manager signals the whole group; Sigra ends its plugins in order.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});
  watchLifeline();

  const tls = await mutualTLS();
  const broker = new Broker(tls);
  const server = new grpc.Server({ "grpc.max_receive_message_length": maxMessage, "grpc.max_send_message_length": maxMessage });
  const end = () => { server.forceShutdown(); process.exit(0); };

  server.addService(plugin.GRPCBroker.service, { StartStream: (stream) => broker.listen(stream) });
  server.addService(plugin.GRPCController.service, { Shutdown: (_, reply) => { reply(null, {}); setImmediate(end); } });
  server.addService(plugin.GRPCStdio.service, { StreamStdio: (stream) => stream.on("cancelled", () => stream.end()) });
  server.addService(health.v1.Health.service, { Check: (_, reply) => reply(null, { status: "SERVING" }) });

  server.addService(sigra.plugin.v1.Plugin.service, {
    // Sigra's services are dialled before the answer: the way to them is only offered for five seconds.
    Describe: answer(async ({ contracts, host_broker_id: id }) => {
      if (contracts.length > 0 && !contracts.includes("sigra.plugin.v1")) {
        throw Object.assign(new Error(`the host speaks ${contracts}, this plugin was built for sigra.plugin.v1`), { code: grpc.status.FAILED_PRECONDITION });
      }
      await broker.dial(id);
      return { sdk_version: `node/${process.version}`, seams: Object.keys(seams), ...manifest };
    }),
    Configure: answer(async (request) => {
      const settings = JSON.parse(request.settings_json.toString() || "{}");
      return { diagnostics: (await configure(settings, (name) => broker.client(name), request)) ?? [] };
    }),
    Health: answer(async () => ({ ok: true })),
    Stop: answer(async () => { await stop(); return {}; }),
  });
  for (const [name, implementation] of Object.entries(seams)) {
    server.addService(sigra.plugin.v1[name.split(".").at(-1)].service, implementation);
  }

  const socket = path.join(process.env.PLUGIN_UNIX_SOCKET_DIR, `plugin${randomUUID().slice(0, 8)}`);
  await new Promise((resolve, reject) => server.bindAsync(`unix:${socket}`, tls.server, (err) => (err ? reject(err) : resolve())));
  // Version of go-plugin's protocol | of Sigra's envelope | network | address | protocol | our certificate
  handshake(`1|1|unix|${socket}|grpc|${tls.announced}\n`);
}

/** answer makes a unary gRPC handler of an async function. An error's code, when it has one, is a gRPC status. */
export function answer(f) {
  return (call, reply) => {
    f(call.request, call).then((value) => reply(null, value), (err) => {
      if (err.code === undefined) log("error", "plugin failed", { error: err.message, stack: err.stack });
      reply({ code: err.code ?? grpc.status.INTERNAL, details: err.code === undefined ? "the plugin failed" : err.message });
    });
  };
}

/** mutualTLS makes a certificate for this one run. Sigra accepts no other for it, and we accept Sigra's alone. */
async function mutualTLS() {
  const theirs = Buffer.from(process.env.PLUGIN_CLIENT_CERT ?? "");
  if (theirs.length === 0) throw new Error("Sigra sent no certificate");
  const mine = await selfsigned.generate([{ name: "commonName", value: "localhost" }], { keyType: "ec", curve: "P-256", algorithm: "sha256" });
  const key = Buffer.from(mine.private), cert = Buffer.from(mine.cert);
  return {
    server: grpc.ServerCredentials.createSsl(theirs, [{ private_key: key, cert_chain: cert }], true),
    client: grpc.credentials.createSsl(theirs, key, cert),
    announced: new X509Certificate(cert).raw.toString("base64").replace(/=+$/, ""),
  };
}

/** Broker is the way to Sigra's own services. Sigra says on a stream where they are; we dial that socket. */
class Broker {
  #tls;
  #offered = new Map(); // by broker id: a promise of the address
  #channel;

  constructor(tls) { this.#tls = tls; }

  #slot(id) {
    if (!this.#offered.has(id)) this.#offered.set(id, Promise.withResolvers?.() ?? withResolvers());
    return this.#offered.get(id);
  }

  listen(stream) {
    stream.on("data", (info) => this.#slot(info.service_id).resolve(info));
    stream.on("end", () => stream.end());
    stream.on("error", () => {});
  }

  async dial(id) {
    const { network, address } = await this.#slot(id).promise;
    if (network !== "unix") throw new Error(`Sigra's services are on ${network}`);
    // The name in the host's certificate; a Unix socket has none of its own.
    const options = { "grpc.ssl_target_name_override": "localhost", "grpc.default_authority": "localhost", "grpc.max_receive_message_length": maxMessage };
    this.#channel = new grpc.Channel(`unix:${address}`, this.#tls.client, options);
    await new Promise((resolve, reject) => {
      const deadline = Date.now() + 5000;
      const look = () => {
        const state = this.#channel.getConnectivityState(true);
        if (state === grpc.connectivityState.READY) return resolve();
        this.#channel.watchConnectivityState(state, deadline, (err) => (err ? reject(err) : look()));
      };
      look();
    });
  }

  /** client gives Sigra's service of that name ("KV") with methods that return promises. */
  client(name) {
    const raw = new sigra.host.v1[name]("unused", null, { channelOverride: this.#channel });
    return new Proxy({}, {
      get: (_, method) => (request = {}) => new Promise((resolve, reject) => {
        raw[method](request, { deadline: Date.now() + 5000 }, (err, value) => (err ? reject(err) : resolve(value)));
      }),
    });
  }
}

function withResolvers() {
  let resolve, reject;
  const promise = new Promise((a, b) => { resolve = a; reject = b; });
  return { promise, resolve, reject };
}

/** watchLifeline ends the plugin when Sigra is gone, however it went: then the other end of a pipe closes. */
function watchLifeline() {
  const fd = Number(process.env.SIGRA_PLUGIN_LIFELINE_FD);
  if (!fd) return;
  const end = () => process.exit(3);
  new net.Socket({ fd, readable: true, writable: false }).on("close", end).on("end", end).on("error", end).resume();
}
