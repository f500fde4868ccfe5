// Does the proof of work that a form asks for, and sends the form with its solution.
//
//   <form … data-pow="CHALLENGE" data-pow-difficulty="21" data-pow-wait="4">
//     <input type="hidden" name="pow_challenge"><input type="hidden" name="pow_solution">
//     <p data-pow-status aria-live="polite" data-working="…" data-done="…">When to try again, for who runs no scripts</p>
//     <progress data-pow-progress hidden></progress>
//
// The work begins with the page, in slices of a few milliseconds between which the page goes on as always: most is done when
// somebody has typed a password. A form sent before that, or before data-pow-wait seconds have passed, is sent when its time
// has come. The page's policy needs script-src 'self' for this, and no more. docs/api.md says what is computed;
// core/ratelimit/solve.go computes the same.
"use strict";
(() => {
  const PARTS = 32, PART_BITS = 5, SLICE = 12; // milliseconds
  const K = Int32Array.of(
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2);

  // The first word of the SHA-256 of a message of one block, whose 16 words are the first of w (FIPS 180-4 §6.2.2).
  function hash(w) {
    for (let t = 16; t < 64; t++) {
      const x = w[t - 15], y = w[t - 2];
      w[t] = w[t - 16] + w[t - 7] + ((x >>> 7 | x << 25) ^ (x >>> 18 | x << 14) ^ x >>> 3) +
        ((y >>> 17 | y << 15) ^ (y >>> 19 | y << 13) ^ y >>> 10);
    }
    let a = 0x6a09e667, b = 0xbb67ae85 | 0, c = 0x3c6ef372, d = 0xa54ff53a | 0;
    let e = 0x510e527f, f = 0x9b05688c | 0, g = 0x1f83d9ab, h = 0x5be0cd19;
    for (let t = 0; t < 64; t++) {
      const u = h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (e & f ^ ~e & g) + K[t] + w[t] | 0;
      const v = ((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b ^ a & c ^ b & c) | 0;
      h = g; g = f; f = e; e = d + u | 0; d = c; c = b; b = a; a = u + v | 0;
    }
    return a + 0x6a09e667 | 0;
  }

  // One turn of the event loop. A timer would wait four milliseconds each time (HTML §8.6).
  const turns = new MessageChannel(), queue = [];
  turns.port1.onmessage = () => queue.shift()();
  const turn = () => new Promise(done => { queue.push(done); turns.port2.postMessage(0); });
  const pause = ms => new Promise(done => setTimeout(done, ms));

  async function solve(challenge, difficulty, progress) {
    const seed = new DataView(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(challenge)));
    const w = new Int32Array(64), zeros = difficulty - PART_BITS, found = [];
    for (let i = 0; i < 8; i++) w[i] = seed.getInt32(4 * i);
    w[10] = 1 << 31; w[15] = 8 * 40; // the padding: a bit, and the length of seed, part and counter in bits
    let end = performance.now() + SLICE;
    for (w[8] = 0; w[8] < PARTS; w[8]++) {
      for (w[9] = 0; hash(w) >>> 32 - zeros !== 0; w[9]++) {
        if (w[9] % 1024 === 0 && performance.now() > end) {
          await turn();
          end = performance.now() + SLICE;
        }
      }
      found.push(w[9] >>> 0);
      progress(w[8] + 1);
    }
    return found.join(".");
  }

  async function attend(form) {
    const status = form.querySelector("[data-pow-status]"), bar = form.querySelector("[data-pow-progress]");
    const unscripted = status.textContent, opens = performance.now() + 1000 * Number(form.dataset.powWait || 0);
    let ready = false, sent = null; // the form was sent before its time: by what
    form.addEventListener("submit", event => {
      if (ready) return;
      event.preventDefault();
      sent = {by: event.submitter};
    });
    try {
      status.textContent = status.dataset.working;
      bar.max = PARTS; bar.value = 0; bar.hidden = false;
      const solution = await solve(form.dataset.pow, Number(form.dataset.powDifficulty), part => { bar.value = part; });
      await pause(Math.max(0, opens - performance.now()));
      form.elements.pow_challenge.value = form.dataset.pow;
      form.elements.pow_solution.value = solution;
      status.textContent = status.dataset.done;
    } catch { // a browser that can't: as without scripts
      status.textContent = unscripted;
    }
    bar.hidden = ready = true;
    if (sent) form.requestSubmit(sent.by);
  }

  document.querySelectorAll("form[data-pow]").forEach(attend);
})();
