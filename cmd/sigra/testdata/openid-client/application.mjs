// An application that signs people in with npm's openid-client. It checks whatever that library can check: state, nonce, PKCE, iss, and the ID token
// with its signature. It ends with its standard input.
import http from "node:http";
import * as oidc from "openid-client";

const [issuer, id, secret, callback] = process.argv.slice(2);
const under = new Map(); // state → what has to come back with it
let config;

async function discover() {
  config ??= await oidc.discovery(new URL(issuer), id, secret, oidc.ClientSecretBasic(secret), {
    execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
  });
  return config;
}

const pages = {
  async "/login"(url, res) {
    const c = await discover();
    const verifier = oidc.randomPKCECodeVerifier();
    const state = oidc.randomState();
    const nonce = oidc.randomNonce();
    under.set(state, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
    const to = oidc.buildAuthorizationUrl(c, {
      redirect_uri: callback, scope: "openid profile email offline_access", state, nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
    });
    res.writeHead(303, { Location: to.href }).end();
  },
  async "/callback"(url, res) {
    const c = await discover();
    const tokens = await oidc.authorizationCodeGrant(c, url, under.get(url.searchParams.get("state")));
    const claims = tokens.claims();
    const info = await oidc.fetchUserInfo(c, tokens.access_token, claims.sub);
    const said = JSON.stringify({ claims, info, access_token: tokens.access_token, refresh_token: tokens.refresh_token, expires_in: tokens.expiresIn() });
    res.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
    res.end(`<!doctype html><html lang="en"><title>Notes</title><h1>Signed in to Notes</h1><script type="application/json">${said.replaceAll("<", "\\u003c")}</script></html>`);
  },
  async "/refresh"(url, res) {
    const c = await discover();
    const tokens = await oidc.refreshTokenGrant(c, url.searchParams.get("token"));
    res.end(JSON.stringify({ access_token: tokens.access_token, refresh_token: tokens.refresh_token }));
  },
  async "/userinfo"(url, res) {
    const c = await discover();
    res.end(JSON.stringify(await oidc.fetchUserInfo(c, url.searchParams.get("token"), url.searchParams.get("sub"))));
  },
};

const server = http.createServer(async (req, res) => {
  const url = new URL(req.url, callback);
  try {
    const page = pages[url.pathname];
    if (!page) return res.writeHead(404).end();
    await page(url, res);
  } catch (e) {
    res.writeHead(e.error ? 400 : 500).end(JSON.stringify({ error: e.error ?? e.code, message: String(e), cause: String(e.cause), status: e.status }));
  }
});
const { hostname, port } = new URL(callback);
server.listen(Number(port), hostname, () => console.log("ready"));
process.stdin.resume().on("end", () => process.exit(0));
