// The page: all models of the server at v2/docs, or one of them at v2/models/NAME/docs.
import { outputsOf, readAnswer, readText, textOf } from "./answer.js";
import { curl, headersOf, needsFile, pythonCode } from "./code.js";
import { button, confirmed, details, failure, h, labelled, row, save, say, scrolling, table, tr } from "./dom.js";
import { shown } from "./files.js";
import { Form, Unfit } from "./form.js";
import { ask, askJson, at, events, forgetKey, getKey, root } from "./server.js";

const main = document.getElementById("main");
const [, model = null, version = null] = /^v2\/models\/([^/]+)(?:\/versions\/([^/]+))?\/docs/.exec(location.href.slice(root.href.length)) ?? [];
const MOST_EVENTS = 500;

const pathOf = (name, of) => `v2/models/${encodeURIComponent(name)}${of ? `/versions/${encodeURIComponent(of)}` : ""}`;
const link = (path, text, given) => h("a", { href: at(path), ...given }, text);
const took = (from) => {
	const passed = performance.now() - from;
	return passed < 999 ? `${passed.toPrecision(3)} ms` : `${(passed / 1000).toFixed(2)} s`;
};

function header({ name, version: release }) {
	const openapi = `${model ? pathOf(model, version) : "v2"}/docs/dataplane.json`;
	// A link brings no key.
	const open = async (event) => {
		if (!getKey()) return;
		event.preventDefault();
		save("openapi.json", [await (await ask(openapi)).text()], "application/json");
	};
	const key = getKey() ? button("Forget the key", () => location.reload(forgetKey())) : null;
	document.getElementById("header").replaceChildren(
		h("p", link("v2/docs", name, { class: "brand" }), h("small", `srv ${release}`)),
		h("nav", { "aria-label": "This server" }, link("v2/docs", "Models", model ? {} : { "aria-current": "page" }), link(openapi, "OpenAPI", { onclick: open }), key),
	);
}

const versionOf = ({ name, version: of, state, reason }) =>
	h("span", { class: "version" }, link(`${pathOf(name, of)}/docs`, `version ${of}`, of === version ? { "aria-current": "page" } : {}), h("span", { class: `state ${state}` }, state), h("small", reason));

// Buttons that load and unload a model, where the server lets clients do that.
function controls({ model_control }, name, rows, again) {
	const change = async (verb) => {
		if (verb === "unload" && !(await confirmed(`Unload ${name}?`, "Unload", h("p", "It answers nobody until it is loaded again.")))) return;
		say(`${name}: ${verb}ing …`);
		const failed = await ask(`v2/repository/models/${encodeURIComponent(name)}/${verb}`, { method: "POST" }).then(() => null, (error) => error);
		await again();
		say(failed ? failed.message : `${name} is ${verb}ed.`);
		if (failed) main.firstChild.after(failure(failed));
	};
	const serves = rows.some(({ state }) => state === "READY");
	const load = serves ? "Reload" : "Load";
	return model_control ? [button(load, () => change("load"), { "aria-label": `${load} ${name}` }), serves ? button("Unload", () => change("unload"), { "aria-label": `Unload ${name}` }) : null] : [];
}

async function index(again) {
	const rows = await askJson("v2/repository/index", { method: "POST" });
	if (rows.some(({ state }) => state.endsWith("LOADING"))) setTimeout(again, 2000);
	return rows;
}

async function showModels(about) {
	document.title = `Models of ${about.name}`;
	const again = () => showModels(about);
	const rows = await index(again);
	const shownRow = (name) => {
		const versions = rows.filter((each) => each.name === name);
		return tr(link(`${pathOf(name)}/docs`, name), [h("div", versions.map(versionOf)), row(controls(about, name, versions, again))]);
	};
	const names = [...new Set(rows.map(({ name }) => name))];
	main.replaceChildren(h("h1", "Models"), names.length ? table(["Versions", "Change"], names.map(shownRow), { class: "models" }) : h("p", "This server has no models."), button("Look again", again));
}

const ORIGINS = {
	warmup: "the model's first warm-up request",
	runtime: "the model's own input example",
	"request.json": "request.json in the model's folder",
	declared: "made up from the declared inputs",
};

async function showModel(about) {
	document.title = `${model} on ${about.name}`;
	const path = pathOf(model, version);
	const again = () => showModel(about);
	const rows = (await index(again)).filter(({ name }) => name === model);
	const top = [h("h1", model), row(rows.map(versionOf), controls(about, model, rows, again))];
	try {
		if (rows.length && !rows.some((each) => each.state === "READY" && (each.version === version || !version))) main.replaceChildren(...top, h("p", { class: "failure" }, "It answers nobody until it is loaded."));
		else {
			const [metadata, example] = await Promise.all([askJson(path), askJson(`${path}/docs/example.json`)]);
			main.replaceChildren(...top, described(metadata), asking(path, example));
		}
	} catch (error) {
		main.replaceChildren(...top, failure(error), link("v2/docs", "All models"));
	}
}

function described({ platform, inputs, outputs, parameters }) {
	const rows = (title, specs) => specs.map((spec) => tr(spec.name, [title, spec.datatype || "any", shown(spec.shape), JSON.stringify(spec.parameters ?? {})]));
	const tensors = table(["", "Datatype", "Shape", "Parameters"], [...rows("input", inputs), ...rows("output", outputs)]);
	return details(`Metadata: platform ${platform}, ${inputs.length || "undeclared"} in, ${outputs.length || "undeclared"} out`, scrolling("Metadata", tensors), parameters ? h("pre", JSON.stringify(parameters, null, 2)) : null);
}

// The form, what came of it, and the same request for other clients.
function asking(path, example) {
	const base64 = new Set(example.base64);
	const make = (stream) => new Form((stream && example.stream_inputs) || example.inputs, (stream && example.stream_request) || example.request, base64);
	let stream = !example.answers;
	let form = make(stream);
	let stop = null;
	const [place, answer, code] = [h("div"), h("div"), h("div")];
	const binary = h("input", { type: "checkbox" });
	const fill = () => place.replaceChildren(form.element, details("Options", labelled("Parameters", form.parameters, "A JSON object that goes beside the inputs."), labelled("Binary form: answers keep NaN, infinity and any bytes", binary)));
	fill();
	const choose = (isStream) => {
		const before = form;
		[stream, form] = [isStream, make(isStream)];
		form.take(before);
		fill();
		code.replaceChildren();
	};
	const way = (text, isStream) => labelled(text, h("input", { type: "radio", name: "way", value: isStream ? "infer_stream" : "infer", checked: stream === isStream, onchange: () => choose(isStream) }));
	const ways = example.answers && example.streams ? h("fieldset", h("legend", "Ask for"), row(way("One answer", false), way("A stream", true))) : null;
	const send = h("button", { class: "send" }, "Send");
	const halt = button("Stop", () => stop.abort(), { hidden: "" });

	// Return the request of the form; where it cannot be sent, lead the person to the reason and return null.
	const read = () => {
		try {
			return form.read(binary.checked && !stream);
		} catch (error) {
			if (!(error instanceof Unfit)) throw error;
			if (error.control === form.parameters) say(error.message);
			error.control?.focus();
			return null;
		}
	};
	const to = () => `${path}/${stream ? "infer_stream" : "infer"}`;
	const submit = async (event) => {
		event.preventDefault();
		const request = stop ? null : read();
		if (!request) return;
		stop = new AbortController();
		[send.disabled, halt.hidden] = [true, false];
		answer.replaceChildren(h("p", "Waiting for the answer …"));
		const asked = [to(), request, stream];
		const from = performance.now();
		try {
			const response = await ask(asked[0], { method: "POST", headers: headersOf(request), body: new Blob([request.text, ...request.behind]), signal: stop.signal });
			await (stream ? showStream : showAnswer)(answer, response, from, base64);
		} catch (error) {
			if (!answer.querySelector("ol")) answer.replaceChildren();
			answer.append(error.name === "AbortError" ? h("p", `Stopped after ${took(from)}.`) : failure(error), h("p", { class: "facts" }, `${error.status ?? ""} ${took(from)}`));
		}
		[send.disabled, halt.hidden, stop] = [false, true, null];
		showCode(code, ...asked);
	};
	const onkeydown = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.currentTarget.requestSubmit();
	const peek = button("As curl and Python", () => {
		const request = read();
		if (request) showCode(code, to(), request, stream);
	});
	return h("div", { class: "asking" },
		h("form", { onsubmit: submit, onkeydown, "aria-label": `Ask ${model}` }, h("h2", "Request"), h("p", { class: "facts" }, `Example: ${ORIGINS[example.from]}`), ways, place, row(send, halt, peek, h("small", "or Ctrl+Enter"))),
		h("section", { "aria-label": "Answer" }, h("h2", "Answer"), answer, code));
}

async function showAnswer(place, response, from, base64) {
	const { text, ...read } = await readAnswer(response);
	const facts = `${response.status} in ${took(from)}, version ${read.model_version}`;
	place.replaceChildren(
		h("p", { class: "facts" }, facts, h("small", `Request ${response.headers.get("X-Request-Id")}`)),
		...outputsOf(read, base64),
		read.parameters ? h("pre", JSON.stringify(read.parameters)) : "",
		text ? details("As JSON", h("pre", { tabindex: 0 }, text.slice(0, 20_000))) : "",
	);
	say(`Answered: ${facts}.`);
}

// Show each response of a stream when it comes; texts also as one.
async function showStream(place, response, from, base64) {
	const text = h("pre", { class: "text", hidden: "" });
	const list = h("ol", { start: 0 });
	const facts = h("p", { class: "facts" });
	place.replaceChildren(facts, text, list);
	let first = null;
	let count = 0;
	for await (const event of events(response)) {
		const read = readText(event);
		if (read.error) {
			place.append(failure({ message: read.error, code: read.code }));
			break;
		}
		first ??= took(from);
		count += 1;
		const piece = textOf(read, base64);
		text.append(piece ?? "");
		text.hidden &&= piece === null;
		facts.textContent = `${count} responses, the first after ${first}, the last after ${took(from)}`;
		if (count <= MOST_EVENTS) list.append(h("li", h("small", took(from)), " ", piece === null ? outputsOf(read, base64) : h("code", piece)));
	}
	say(`The stream has ended: ${count} responses in ${took(from)}.`);
}

function showCode(place, path, request, stream) {
	const block = (title, text) => {
		const made = h("pre", { tabindex: 0, "aria-label": title, class: title.toLowerCase() }, text);
		const copy = () => navigator.clipboard?.writeText(text).then(() => say(`${title} is copied.`)) ?? getSelection().selectAllChildren(made);
		return [h("h3", title), made, button("Copy", copy, { "aria-label": `Copy ${title}` })];
	};
	place.replaceChildren(
		h("h2", "The same with other clients"),
		needsFile(request) ? h("p", button(`Save ${request.file}`, () => save(request.file, [request.text, ...request.behind])), " beside the command.") : "",
		getKey() ? h("p", "SRV_KEY is a variable with your key.") : "",
		...block("curl", curl(path, request, stream)),
		...block("Python", pythonCode(path, { name: model, version }, request, stream)),
	);
}

try {
	const about = { ...(await askJson("v2")), ...(await askJson("v2/docs/server.json")) };
	header(about);
	addEventListener("srv-key", () => header(about));
	await (model ? showModel : showModels)(about);
} catch (error) {
	main.replaceChildren(h("h1", model ?? "Models"), failure(error), button("Try again", () => location.reload()));
}
