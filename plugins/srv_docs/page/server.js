// Requests to the server that this page came from, and to no other one.
import { button, h, labelled } from "./dom.js";

/** Where the server's paths begin: below a proxy's prefix that is more than /. */
export const root = new URL("../../../", import.meta.url);

/** Return the address of a path of the server. */
export const at = (path) => new URL(path, root).href;

const KEY = `srv-key ${root.pathname}`;

export const getKey = () => {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return memory;
  }
};

let memory = null;

function setKey(key) {
  memory = key;
  try {
    if (key === null) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, key);
  } catch {
    // A browser without storage has the key until the page is left.
  }
  dispatchEvent(new Event("srv-key"));
}

export const forgetKey = () => setKey(null);

/** What the server refused, in its own words. */
export class Refused extends Error {
  constructor(message, code, status, requestId) {
    super(message);
    Object.assign(this, { code, status, requestId });
  }
}

/** Read JSON. Integers that a number of JavaScript cannot hold become texts. */
export function readJson(text) {
  const exact = text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${token}"` : token,
  );
  return JSON.parse(exact);
}

async function refusal(response) {
  const text = await response.text();
  const id = response.headers.get("X-Request-Id");
  try {
    const { error, code } = JSON.parse(text);
    return new Refused(error ?? text, code ?? `HTTP ${response.status}`, response.status, id);
  } catch {
    return new Refused(text.slice(0, 300) || response.statusText, `HTTP ${response.status}`, response.status, id);
  }
}

/** Ask the server; ask the person for a key where the server wants one. Throws Refused for what is not 2xx. */
export async function ask(path, { method = "GET", body, headers = {}, signal } = {}) {
  for (;;) {
    const key = getKey();
    const sent = { ...headers, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
    let response;
    try {
      response = await fetch(at(path), { method, body, headers: sent, signal, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused("The server cannot be reached. Does it still run?", "No answer", 0, null);
    }
    if (response.ok) return response;
    const refused = await refusal(response);
    if (response.status !== 401) throw refused;
    if (!(await askForKey(key ? refused.message : "This server asks for a key."))) throw refused;
  }
}

export const askJson = async (path, options) => readJson(await (await ask(path, options)).text());

let asking = null;

/** Ask for a key in a dialog, one for all requests that wait; false where the person gives none. */
export function askForKey(reason) {
  asking ??= new Promise((answer) => {
    const field = h("input", { type: "password", autocomplete: "current-password", required: true, maxlength: "4096" });
    const dialog = h(
      "dialog",
      { "aria-labelledby": "key-title" },
      h(
        "form",
        { method: "dialog", onsubmit: () => setKey(field.value.trim()) },
        h("h2", { id: "key-title" }, "Key"),
        h("p", {}, reason),
        labelled("API key", field, "Kept until this tab is closed, and sent to this server alone."),
        h("p", { class: "row" }, h("button", { value: "given" }, "Use the key"), button("Cancel", () => dialog.close())),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      asking = null;
      answer(dialog.returnValue === "given");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

/** Yield the events of a stream as they come. */
export async function* events(response) {
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split(/\r?\n\r?\n/);
    rest = parts.pop();
    for (const part of parts) {
      const lines = part.split(/\r?\n/).filter((line) => line.startsWith("data:"));
      if (lines.length) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}
