// Requests to the server that this page came from, and to no other one.
import { confirmed, h, labelled } from "./dom.js";

// Where the server's paths begin: below a proxy's prefix that is more than /.
export const root = new URL("../../../", import.meta.url);
export const at = (path) => new URL(path, root).href;

const KEY = `srv-key ${root.pathname}`;
export const getKey = () => sessionStorage.getItem(KEY);
export const forgetKey = () => sessionStorage.removeItem(KEY);

class Refused extends Error {
	constructor(message, code, response) {
		super(message);
		Object.assign(this, { code, status: response?.status, requestId: response?.headers.get("X-Request-Id") });
	}
}

// Read JSON. Integers that a number of JavaScript cannot hold become texts.
export const readJson = (text) =>
	JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) => (/^-?\d{16,}$/.test(token) ? `"${token}"` : token)));

// Ask the server, and the person for a key where the server wants one. Throws Refused for what is not 2xx.
export async function ask(path, { headers, ...options } = {}) {
	for (;;) {
		const key = getKey();
		let response;
		try {
			response = await fetch(at(path), { cache: "no-store", headers: { ...headers, ...(key && { Authorization: `Bearer ${key}` }) }, ...options });
		} catch (error) {
			throw error.name === "AbortError" ? error : new Refused("The server cannot be reached. Does it still run?", "No answer");
		}
		if (response.ok) return response;
		const told = await response.json().catch(() => ({ error: "The answer is not the server's; a proxy may have made it." }));
		const refused = new Refused(told.error, told.code ?? `HTTP ${response.status}`, response);
		if (response.status !== 401 || !(await askForKey(key ? refused.message : "This server asks for a key."))) throw refused;
	}
}

export const askJson = async (path, options) => readJson(await (await ask(path, options)).text());

let asking = null;

// Ask for a key, once for all requests that wait; false where the person gives none.
function askForKey(reason) {
	const field = h("input", { type: "password", autocomplete: "off", required: "" });
	const hint = "Kept until this tab is closed, and sent to this server alone.";
	asking ??= confirmed("Key", "Use the key", h("p", reason), labelled("API key", field, hint)).then((given) => {
		asking = null;
		if (given) sessionStorage.setItem(KEY, field.value.trim());
		dispatchEvent(new Event("srv-key"));
		return given;
	});
	return asking;
}

// Yield the events of a stream as they come.
export async function* events(response) {
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	for (let rest = ""; ; ) {
		const { done, value } = await reader.read();
		if (done) return;
		const parts = (rest + value).split("\n\n");
		rest = parts.pop();
		for (const part of parts) yield part.replace(/^data: ?/, "");
	}
}
