// Passkeys (WebAuthn) on Sigra's pages. No dependencies, nothing inline, works under script-src 'self'.
//
// What a page writes, and what the server answers. All requests are POSTs of JSON to the same origin, with its cookies.
//
//   <form data-passkey="login | second | stepup | register" data-options="/a" data-finish="/b" hidden>
//     … fields, <p role="alert" hidden></p>, <button>
//   Hidden in the markup, shown where there is WebAuthn. Its submit runs a ceremony in a dialog of the browser. Without data-finish
//   the form is sent to its action in the end, with the fields token and credential (as JSON text).
//
//   <form data-passkey-autofill data-options="/a" data-finish="/b">   any form with an <input autocomplete="username webauthn">
//   Offers passkeys in the input's suggestions for as long as the page is open. The form itself stays as it is.
//
//   <… data-passkey-upgrade data-options="/a" data-finish="/b">       after a sign-in with a password
//   Lets the browser make a passkey by itself (conditional create), in place of autofill. Silent; where one was made, the
//   element dispatches "sigra:passkey".
//
//   <… data-passkey-signal='{"allAcceptedCredentials": {…}, "currentUserDetails": {…}, "unknownCredential": {…}}'>
//   Tells the person's password managers, by the Signal API. Each member is that method's argument and may be missing.
//
//   /a takes  { "fields": {…} }                                   the form's own fields, passwords never
//      gives  { "token": "…", "options": { "publicKey": {…}, "mediation": "…" } }
//   /b takes  { "token": "…", "credential": {…}, "fields": {…} }  RegistrationResponseJSON or AuthenticationResponseJSON
//      gives  { "redirect": "/path", "signal": {…} }              both may be missing
//   Either may answer with a problem document instead; its "message" or "detail" is shown, its "signal" passed on. Where it has a
//   "redirect", and somebody pressed the button, the browser goes there: to what has to be done first.
//
// Texts can be replaced, in another language for example, by data-text-cancelled, -timeout, -unsupported, -exists, -site,
// -offline, -server and -failed on the form.
(() => {
  "use strict";

  const WebAuthn = window.PublicKeyCredential;
  if (!WebAuthn || !navigator.credentials) return; // what needs it stays hidden

  const texts = {
    cancelled: "Cancelled, or there was no passkey to use. You can try again.",
    timeout: "That took too long. You can try again.",
    unsupported: "This device or security key can't be used here. Try another one.",
    exists: "This device has a passkey for your account already.",
    site: "Passkeys don't work at this address. Open the site at its own address.",
    offline: "The server can't be reached. Check your connection and try again.",
    server: "Something went wrong on our side. Try again.",
    failed: "The device could not do that. Try again, or use another way.",
  };
  const textName = { NotAllowedError: "cancelled", NotSupportedError: "unsupported", ConstraintError: "unsupported", SecurityError: "site" };

  // Problem is what the server, or the way to it, has to say.
  class Problem extends Error {
    constructor(answer, key) {
      super(answer.message || answer.detail || answer.title || "");
      this.signal = answer.signal;
      this.redirect = answer.redirect;
      this.key = key;
    }
  }

  async function post(url, body) {
    let response;
    try {
      response = await fetch(url, {
        method: "POST", mode: "same-origin", credentials: "same-origin", redirect: "error", cache: "no-store",
        headers: { "Content-Type": "application/json", Accept: "application/json, application/problem+json" },
        body: JSON.stringify(body),
      });
    } catch {
      throw new Problem({}, "offline");
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Problem(answer, "server");
    return answer;
  }

  // Fields of a form as the server gets them. A password that stands in the same form is none of a passkey's business.
  function fields(element) {
    const out = {};
    for (const f of element.elements || []) {
      if (!f.name || f.disabled || ["password", "submit", "button", "file"].includes(f.type)) continue;
      if (["checkbox", "radio"].includes(f.type) && !f.checked) continue;
      out[f.name] = f.value;
    }
    return out;
  }

  // Base64url to bytes and back, where the browser does not do it itself.
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const base64url = (buffer) => btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join("")).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list || []).map((c) => ({ ...c, id: bytes(c.id) }));

  function parse(create, o) {
    const native = create ? WebAuthn.parseCreationOptionsFromJSON : WebAuthn.parseRequestOptionsFromJSON;
    if (native) return native.call(WebAuthn, o);
    const out = { ...o, challenge: bytes(o.challenge) };
    if (!create) return { ...out, allowCredentials: named(o.allowCredentials) };
    return { ...out, user: { ...o.user, id: bytes(o.user.id) }, excludeCredentials: named(o.excludeCredentials) };
  }

  function serialize(credential) {
    try {
      return credential.toJSON();
    } catch { /* older browsers, and extensions that stand in for the browser */ }
    const r = credential.response;
    const response = { clientDataJSON: base64url(r.clientDataJSON) };
    for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (r[name]) response[name] = base64url(r[name]);
    }
    if (r.getTransports) response.transports = r.getTransports();
    return {
      id: credential.id, rawId: base64url(credential.rawId), type: credential.type, response,
      authenticatorAttachment: credential.authenticatorAttachment || undefined, clientExtensionResults: credential.getClientExtensionResults(),
    };
  }

  async function signal(s) {
    const tell = (method, about) => about && WebAuthn[method] && WebAuthn[method](about);
    const all = [["signalUnknownCredential", "unknownCredential"], ["signalAllAcceptedCredentials", "allAcceptedCredentials"], ["signalCurrentUserDetails", "currentUserDetails"]];
    await Promise.allSettled(all.map(async ([method, member]) => tell(method, s && s[member])));
  }

  // The form itself, with the answer in it, for a page that goes on with what is shown only once.
  function send(form, more) {
    for (const [name, value] of Object.entries(more)) {
      const input = form.elements[name] || form.appendChild(document.createElement("input"));
      input.type = "hidden";
      input.name = name;
      input.value = value;
    }
    form.submit();
    return {};
  }

  // One ceremony from question to answer. began is told when the browser is asked, and for how long at most.
  async function ceremony(element, create, how, began) {
    const { token, options } = await post(element.dataset.options, { fields: fields(element) });
    const mediation = how.mediation || options.mediation;
    const request = { publicKey: parse(create, options.publicKey), signal: how.signal, ...(mediation && { mediation }) };
    began(options.publicKey.timeout || 300000);
    const credential = await (create ? navigator.credentials.create(request) : navigator.credentials.get(request));
    if (!element.dataset.finish) return send(element, { token, credential: JSON.stringify(serialize(credential)) });
    const answer = await post(element.dataset.finish, { token, credential: serialize(credential), fields: fields(element) });
    await signal(answer.signal);
    return answer;
  }

  function follow(answer) {
    if (!answer.redirect) return;
    const to = new URL(answer.redirect, location.href);
    if (to.protocol === "https:" || to.protocol === "http:") location.assign(to);
  }

  function say(form, text) {
    let alert = form.querySelector('[role="alert"]');
    if (!alert) {
      alert = document.createElement("p");
      alert.setAttribute("role", "alert");
      form.prepend(alert);
    }
    alert.textContent = text;
    alert.hidden = !text;
  }

  // What went wrong, in plain words; nothing for what this script aborted itself.
  async function explain(form, error, create, late) {
    if (error.name === "AbortError") return;
    if (error instanceof Problem) await signal(error.signal);
    let key = error.key || textName[error.name] || "failed";
    if (error.name === "InvalidStateError" && create) key = "exists";
    if (key === "cancelled" && late) key = "timeout";
    const own = form.dataset["text" + key[0].toUpperCase() + key.slice(1)];
    say(form, (error instanceof Problem && error.message) || own || texts[key]);
  }

  // The one ceremony that waits behind the page. A dialog has to wait until it is gone: browsers allow one at a time.
  const idle = { stop: new AbortController(), done: Promise.resolve() };
  const background = (work) => {
    idle.stop = new AbortController();
    idle.done = work(idle.stop.signal).catch(() => {});
    return idle.done;
  };
  const stopBackground = () => {
    idle.stop.abort();
    return idle.done;
  };
  const visible = () => new Promise((go) => document.hidden ? document.addEventListener("visibilitychange", go, { once: true }) : go());

  // Nobody has asked for this, so nothing is said before a passkey was picked.
  async function autofill(form, stop) {
    for (let failures = 0; failures < 5;) {
      await visible();
      if (stop.aborted) return;
      const one = new AbortController(); // ends with stop, and before the server forgets the ceremony; then there is another
      const end = () => one.abort();
      stop.addEventListener("abort", end);
      let timer;
      try {
        return follow(await ceremony(form, false, { mediation: "conditional", signal: one.signal }, (timeout) => { timer = setTimeout(end, timeout); }));
      } catch (error) {
        if (!timer) return;
        if (error.name === "AbortError") continue;
        failures++;
        if (error.name !== "NotAllowedError") await explain(form, error, false, false);
      } finally {
        clearTimeout(timer);
        stop.removeEventListener("abort", end);
      }
    }
  }

  async function upgrade(element, stop) {
    try {
      await ceremony(element, true, { mediation: "conditional", signal: stop }, () => {});
      element.dispatchEvent(new CustomEvent("sigra:passkey", { bubbles: true }));
    } catch (error) {
      if (error instanceof Problem) await signal(error.signal);
    }
  }

  let waiting = null; // the form whose autofill goes on after a dialog

  async function modal(form) {
    const create = form.dataset.passkey === "register";
    const buttons = [...form.querySelectorAll("button")].filter((b) => !b.disabled);
    let asked = 0, patience = Infinity;
    say(form, "");
    form.setAttribute("aria-busy", "true");
    buttons.forEach((b) => { b.disabled = true; });
    try {
      await stopBackground();
      follow(await ceremony(form, create, {}, (timeout) => { asked = performance.now(); patience = timeout; }));
    } catch (error) {
      if (error.redirect) return follow(error);
      await explain(form, error, create, performance.now() - asked >= patience - 1000);
      if (waiting) background((stop) => autofill(waiting, stop));
    } finally {
      form.removeAttribute("aria-busy");
      buttons.forEach((b) => { b.disabled = false; });
    }
  }

  async function capable(name, otherwise) {
    const known = WebAuthn.getClientCapabilities ? await WebAuthn.getClientCapabilities().catch(() => ({})) : {};
    return known[name] === undefined ? otherwise() : known[name];
  }

  async function start() {
    for (const form of document.querySelectorAll("form[data-passkey]")) {
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        modal(form);
      });
      form.hidden = false;
    }
    for (const element of document.querySelectorAll("[data-passkey-signal]")) {
      try {
        signal(JSON.parse(element.dataset.passkeySignal));
      } catch { /* a page's mistake; nobody could do anything about it here */ }
    }
    const made = document.querySelector("[data-passkey-upgrade]");
    if (made && await capable("conditionalCreate", () => false)) return background((stop) => upgrade(made, stop));
    const form = document.querySelector("form[data-passkey-autofill]");
    if (form && await capable("conditionalGet", () => WebAuthn.isConditionalMediationAvailable ? WebAuthn.isConditionalMediationAvailable() : false)) {
      waiting = form;
      background((stop) => autofill(form, stop));
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
