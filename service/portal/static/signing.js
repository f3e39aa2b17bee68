/* SPDX-License-Identifier: EUPL-1.2 */
/* Web eID from this page: the card's certificate to the server, its hashes to the card one by one, all signatures back. */
(() => {
  "use strict";
  const form = document.getElementById("signing");
  if (!form) return;
  const button = form.querySelector("button");
  const state = document.getElementById("signing-state");
  const problem = document.getElementById("signing-problem");
  const HANDSHAKE = 2000, STATUS = 7000, PERSON = 300000, AGAIN = [2000, 5000, 10000];
  const pending = new Map();

  window.addEventListener("message", (event) => {
    if (event.source !== window || event.origin !== window.location.origin) return;
    const found = /^(web-eid:[a-z-]+?)-(ack|success|failure)$/.exec(String(event.data?.action ?? ""));
    const asked = found && pending.get(found[1]);
    if (!asked) return;
    if (found[2] === "ack") { clearTimeout(asked.handshake); return; }
    asked.end();
    if (found[2] === "success") asked.resolve(event.data);
    else asked.reject({ code: String(event.data.error?.code ?? "") });
  });

  const ask = (action, values, patience) => new Promise((resolve, reject) => {
    if (pending.has(action)) { reject({ code: "pending" }); return; }
    const fail = (code) => () => { asked.end(); reject({ code }); };
    const asked = {
      resolve, reject,
      end: () => { clearTimeout(asked.handshake); clearTimeout(asked.answer); pending.delete(action); },
      handshake: setTimeout(() => fail("missing")(), HANDSHAKE),
      answer: setTimeout(() => fail("silent")(), patience),
    };
    pending.set(action, asked);
    window.postMessage({ action, libraryVersion: "2.0.0", ...values }, window.location.origin);
  });

  const send = async (address, values) => {
    const body = new URLSearchParams({ csrf: form.elements.csrf.value, ...values });
    const answer = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
    const json = (answer.headers.get("content-type") ?? "").includes("json") ? await answer.json() : {};
    if (!answer.ok) throw { status: answer.status, problem: json.problem };
    return json;
  };

  // The same signature again, while it is only the time-stamp that is missing: nobody types a PIN twice for that.
  const finish = async (values) => {
    for (const pause of [...AGAIN, null]) {
      try {
        return await send(form.dataset.finish, values);
      } catch (error) {
        if (error.status !== 503 || pause === null) throw error;
        state.textContent = form.dataset.waiting;
        await new Promise((go) => setTimeout(go, pause));
      }
    }
    return undefined;
  };

  const sign = async () => {
    const options = { lang: document.documentElement.lang };
    state.textContent = form.dataset.card;
    const card = await ask("web-eid:get-signing-certificate", { options }, PERSON);
    const algorithms = JSON.stringify(card.supportedSignatureAlgorithms ?? []);
    const { hashes, hashFunction } = await send(form.action, { certificate: card.certificate, algorithms });
    const signatures = [];
    for (const hash of hashes) {
      // The protocol signs one hash at a time: nothing counts before the last one.
      const said = hashes.length > 1 ? form.dataset.pinOfSeveral : form.dataset.pin;
      state.textContent = said.replace("{number}", signatures.length + 1).replace("{count}", hashes.length);
      const made = await ask("web-eid:sign", { certificate: card.certificate, hash, hashFunction, options }, PERSON);
      signatures.push({ signature: made.signature, signatureAlgorithm: made.signatureAlgorithm });
    }
    state.textContent = form.dataset.checking;
    return finish({ signatures: JSON.stringify(signatures) });
  };

  const sentence = (error) => {
    if (error?.problem) return error.problem;
    const { missing, silent, stopped, failed } = form.dataset;
    if (error?.code === "missing" || error?.code === "ERR_WEBEID_EXTENSION_UNAVAILABLE") return missing;
    if (error?.code === "ERR_WEBEID_USER_CANCELLED") return stopped;
    if (["silent", "ERR_WEBEID_USER_TIMEOUT", "ERR_WEBEID_NATIVE_UNAVAILABLE"].includes(error?.code)) return silent;
    return failed;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      const { next } = await sign();
      window.location.assign(next);
    } catch (error) {
      state.textContent = "";
      problem.textContent = sentence(error);
      button.disabled = false;
      button.focus();
    }
  });

  button.disabled = false;
  ask("web-eid:status", {}, STATUS).catch((error) => {
    if (!problem.textContent && !state.textContent) state.textContent = sentence(error);
  });
})();
