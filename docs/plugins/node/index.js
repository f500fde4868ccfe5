#!/usr/bin/env node
// A plugin in JavaScript. It greets whoever opens its page and counts them, in Sigra's own small store.
import { serve, log } from "./sigra.js";

let greeting, kv;

await serve({
  manifest: {
    name: "hello_node",
    version: "1.0.0",
    description: "Greets people, in JavaScript.",
    required_grants: ["kv.use"],
    routes: [{ path: "/hello_node", title: "Hello from Node" }],
    settings: {
      attributes: [{ name: "greeting", type: "string", default_json: '"Hello"', description: "What to say before the name." }],
    },
  },

  // At the start, and whenever the settings change. Sigra has checked them against the schema above.
  async configure(settings, host) {
    if (settings.greeting.length > 100) {
      return [{ severity: "SEVERITY_ERROR", summary: "The greeting is too long.", detail: "It may have at most 100 characters.", path: ["greeting"] }];
    }
    greeting = settings.greeting;
    kv = host("KV");
    log("info", "ready to greet", { greeting });
  },

  seams: {
    "sigra.plugin.v1.Routes": {
      // One exchange: frames with a head, pieces of the body, and an end, in each direction.
      Serve(stream) {
        stream.on("data", (frame) => {
          if (frame.frame === "head") respond(stream, frame.head).catch((err) => stream.destroy(err));
        });
      },
    },
  },
});

async function respond(stream, head) {
  const found = head.target.split("?")[0] === "/hello_node";
  const body = found ? `${greeting}, ${head.principal?.display || "stranger"}! You are visitor ${await visitor()}.\n` : "Not here.\n";
  stream.write({ head: { status: found ? 200 : 404, headers: [{ name: "Content-Type", values: ["text/plain; charset=utf-8"] }] } });
  if (head.method !== "HEAD") stream.write({ body: Buffer.from(body) });
  stream.write({ end: {} });
  stream.end();
}

// visitor counts one more. Whoever comes second with the same version has to look again.
async function visitor() {
  for (;;) {
    const { entry } = await kv.Get({ key: "visitors" });
    const n = entry ? Number(entry.value.toString()) + 1 : 1;
    const { stored } = await kv.Put({ key: "visitors", value: Buffer.from(String(n)), if_version: entry ? entry.version : 0 });
    if (stored) return n;
  }
}
