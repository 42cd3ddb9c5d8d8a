// The page: all models of the server at v2/docs, or one of them at v2/models/NAME/docs.
import { button, failure, h, labelled, save, say } from "./dom.js";
import { curl, fileOf, needsFile, headLength, pythonCode } from "./code.js";
import { outputsOf, readAnswer, readText, textOf } from "./answer.js";
import { Form, Unfit } from "./form.js";
import { ask, askForKey, askJson, at, events, forgetKey, getKey, root } from "./server.js";
import { joined } from "./values.js";

const main = document.getElementById("main");
const below = decodeURI(location.pathname).slice(decodeURI(root.pathname).length);
const [, model = null, version = null] = /^v2\/models\/([^/]+)(?:\/versions\/([^/]+))?\/docs\/?$/.exec(below) ?? [];
const MOST_EVENTS = 500;

const pathOf = (name, of = null) => `v2/models/${encodeURIComponent(name)}${of === null ? "" : `/versions/${encodeURIComponent(of)}`}`;
const link = (path, text, given = {}) => h("a", { href: at(path), ...given }, text);
const badge = (state) => h("span", { class: `state ${state.toLowerCase()}` }, state);
const seconds = (from) => {
  const passed = performance.now() - from;
  return passed < 1000 ? `${passed.toFixed(passed < 10 ? 1 : 0)} ms` : `${(passed / 1000).toFixed(2)} s`;
};

// -- what both have ----------------------------------------------------------------------------------------------------

function header(about) {
  const openapi = model === null ? "v2/docs/dataplane.json" : `${pathOf(model, version)}/docs/dataplane.json`;
  // A link cannot bring a key, so that the document is fetched with it.
  const open = async (event) => {
    if (getKey() === null) return;
    event.preventDefault();
    save("openapi.json", [await (await ask(openapi)).text()], "application/json");
  };
  const key = getKey() === null ? button("Use a key", () => askForKey("Give a key if the server asks for one.").then((given) => given && location.reload())) : button("Forget the key", () => (forgetKey(), location.reload()));
  document.getElementById("header").replaceChildren(
    h("p", {}, link("v2/docs", about.name, { class: "brand" }), h("small", {}, about.version ? `srv ${about.version}` : "")),
    h("nav", { "aria-label": "This server" }, link("v2/docs", "Models", model === null ? { "aria-current": "page" } : {}), link(openapi, "OpenAPI", { onclick: open }), key),
  );
}

async function control(name, verb, done) {
  if (verb === "unload" && !(await sure(`Unload ${name}?`, "It answers nobody until somebody loads it again.", "Unload"))) return;
  say(`${name}: ${verb}ing …`);
  try {
    await ask(`v2/repository/models/${encodeURIComponent(name)}/${verb}`, { method: "POST" });
    say(`${name} is ${verb}ed.`);
    await done();
  } catch (error) {
    await done();
    say("");
    main.querySelector("h1").after(failure(error));
  }
}

function sure(title, text, yes) {
  return new Promise((answer) => {
    const dialog = h("dialog", { "aria-labelledby": "sure" }, h("form", { method: "dialog" }, h("h2", { id: "sure" }, title), h("p", {}, text), h("p", { class: "row" }, h("button", { value: "yes" }, yes), h("button", { value: "" }, "Cancel"))));
    dialog.addEventListener("close", () => {
      dialog.remove();
      answer(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

const controls = (about, name, states, done) =>
  about.model_control
    ? [
        button(states.includes("READY") ? "Reload" : "Load", () => control(name, "load", done), { "aria-label": `${states.includes("READY") ? "Reload" : "Load"} ${name}` }),
        states.includes("READY") ? button("Unload", () => control(name, "unload", done), { "aria-label": `Unload ${name}` }) : null,
      ]
    : [];

const index = () => askJson("v2/repository/index", { method: "POST" });

// -- all models --------------------------------------------------------------------------------------------------------

async function showModels(about) {
  document.title = `Models of ${about.name}`;
  const rows = await index();
  const names = [...new Set(rows.map((row) => row.name))];
  const again = () => showModels(about);
  const shown = names.map((name) => {
    const versions = rows.filter((row) => row.name === name);
    const states = versions.map((row) => row.state);
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, link(`${pathOf(name)}/docs`, name)),
      h("td", {}, versions.map((row) => h("div", { class: "version" }, link(`${pathOf(name, row.version)}/docs`, `version ${row.version}`), badge(row.state), row.reason ? h("small", {}, row.reason) : null))),
      about.model_control ? h("td", {}, h("div", { class: "row" }, controls(about, name, states, again))) : null,
    );
  });
  const head = ["Model", "Versions", about.model_control ? "Change" : null].filter(Boolean).map((text) => h("th", { scope: "col" }, text));
  main.replaceChildren(
    h("h1", {}, "Models"),
    names.length ? h("table", { class: "models" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, shown)) : h("p", {}, "This server has no models."),
    h("p", { class: "row" }, button("Look again", again)),
  );
  if (rows.some((row) => row.state.endsWith("LOADING"))) setTimeout(again, 2000);
}

// -- one model ---------------------------------------------------------------------------------------------------------

async function showModel(about) {
  document.title = `${model} on ${about.name}`;
  const path = pathOf(model, version);
  const rows = (await index()).filter((row) => row.name === model);
  const again = () => showModel(about);
  const top = [
    h("h1", {}, model),
    h("p", { class: "row" }, rows.map((row) => h("span", { class: "version" }, link(`${pathOf(model, row.version)}/docs`, `version ${row.version}`, row.version === version ? { "aria-current": "page" } : {}), badge(row.state))), controls(about, model, rows.map((row) => row.state), again)),
    ...rows.filter((row) => row.reason).map((row) => h("p", { class: "failure" }, `version ${row.version}: ${row.reason}`)),
  ];
  try {
    if (rows.length && !rows.some((row) => row.state === "READY" && (version === null || row.version === version))) {
      main.replaceChildren(...top, h("p", {}, "It answers nobody until it is loaded."));
    } else {
    const [metadata, example] = await Promise.all([askJson(path), askJson(`${path}/docs/example.json`)]);
    main.replaceChildren(...top, described(metadata), asking(path, example));
    }
  } catch (error) {
    main.replaceChildren(...top, failure(error), h("p", {}, link("v2/docs", "All models")));
  }
  if (rows.some((row) => row.state.endsWith("LOADING"))) setTimeout(again, 2000);
}

function described(metadata) {
  const tensors = (title, specs) =>
    specs.map((spec) => h("tr", {}, h("td", {}, title), h("th", { scope: "row" }, spec.name), h("td", {}, spec.datatype || "any"), h("td", {}, `[${spec.shape.map((length) => (length < 0 ? "any" : length)).join(", ")}]`), h("td", {}, spec.parameters ? JSON.stringify(spec.parameters) : "")));
  const rows = [...tensors("input", metadata.inputs), ...tensors("output", metadata.outputs)];
  const head = ["", "Name", "Datatype", "Shape", "Parameters"].map((text) => (text ? h("th", { scope: "col" }, text) : h("td", {})));
  return h(
    "details",
    {},
    h("summary", {}, `Metadata: platform ${metadata.platform}, ${metadata.inputs.length || "undeclared"} in, ${metadata.outputs.length || "undeclared"} out`),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Metadata" }, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows))),
    metadata.parameters ? h("pre", {}, JSON.stringify(metadata.parameters, null, 2)) : null,
  );
}

const ORIGINS = {
  warmup: "The example is the model's first warm-up request.",
  "request.json": "The example is the file request.json of the model's folder.",
  declared: "The example is made up from the inputs that the model declares.",
};

/** The form, what came of it, and the same request for other clients. */
function asking(path, example) {
  const base64 = new Set(example.base64);
  const make = (stream) => new Form({ base64, specs: (stream && example.stream_inputs) || example.inputs, request: (stream && example.stream_request) || example.request });
  const ways = [example.answers ? ["infer", "One answer"] : null, example.streams ? ["infer_stream", "A stream"] : null].filter(Boolean);
  let way = ways[0]?.[0] ?? "infer";
  let form = make(way !== "infer");
  let stop = null;
  const place = h("div", {}, form.element);
  const answer = h("div", { class: "answer" });
  const code = h("div");
  const binary = h("input", { type: "checkbox" });
  const options = h("details", {}, h("summary", {}, "Options"));
  const fill = () => options.replaceChildren(options.firstChild, labelled("Parameters", form.parameters, "A JSON object that goes beside the inputs."), h("label", { class: "check" }, binary, " Binary form, both ways: exact for NaN and infinity, and for bytes that are no text"));
  fill();
  const choose = (event) => {
    way = event.target.value;
    if (example.stream_inputs) {
      const before = form;
      form = make(way !== "infer");
      form.take(before);
      place.replaceChildren(form.element);
      fill();
    }
    code.replaceChildren();
  };
  const choices = ways.length < 2 ? [] : [h("fieldset", { class: "row" }, h("legend", {}, "Ask for"), ways.map(([value, text], at) => h("label", { class: "check" }, h("input", { type: "radio", name: "way", value, checked: at === 0, onchange: choose }), ` ${text}`)))];
  const send = h("button", { class: "send" }, "Send");
  const halt = button("Stop", () => stop.abort(), { hidden: true });

  const submit = async (event) => {
    event.preventDefault();
    if (stop !== null) return;
    const isStream = way !== "infer";
    let request;
    try {
      request = form.read(binary.checked && !isStream);
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
      say(error.message);
      error.control?.focus();
      return;
    }
    stop = new AbortController();
    [send.disabled, halt.hidden] = [true, false];
    answer.setAttribute("aria-busy", "true");
    answer.replaceChildren(h("p", {}, "Waiting for the answer …"));
    say("");
    const headers = request.isBinary ? { "Content-Type": "application/octet-stream", "Inference-Header-Content-Length": String(headLength(request)) } : { "Content-Type": "application/json" };
    const body = bodyOf(request);
    const from = performance.now();
    try {
      const response = await ask(`${path}/${way}`, { method: "POST", headers, body, signal: stop.signal });
      await (isStream ? showStream(answer, response, from, base64) : showAnswer(answer, response, from, base64));
    } catch (error) {
      if (error.name === "AbortError") {
        answer.append(h("p", {}, `Stopped after ${seconds(from)}.`));
        say("Stopped.");
      } else {
        answer.querySelector("p")?.remove();
        answer.append(failure(error), h("p", { class: "facts" }, `${error.status ? `${error.status} in ` : ""}${seconds(from)}`));
      }
    }
    answer.removeAttribute("aria-busy");
    [send.disabled, halt.hidden, stop] = [false, true, null];
    showCode(code, `${path}/${way}`, request, isStream);
  };

  const keys = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.requestSubmit();
  };
  const peek = button("As curl and Python", () => {
    try {
      showCode(code, `${path}/${way}`, form.read(binary.checked && way === "infer"), way !== "infer");
      code.querySelector("summary").focus();
    } catch (error) {
      say(error.message);
      error.control?.focus();
    }
  });
  return h(
    "div",
    { class: "asking" },
    h("form", { onsubmit: submit, onkeydown: keys, "aria-label": `Ask ${model}` }, h("h2", {}, "Request"), h("p", { class: "origin" }, ORIGINS[example.from]), choices, place, options, h("p", { class: "row" }, send, halt, peek, h("small", {}, "or Ctrl+Enter"))),
    h("section", { "aria-label": "Answer" }, h("h2", {}, "Answer"), answer, code),
  );
}

const bodyOf = (request) => joined([new TextEncoder().encode(request.text), ...request.behind]);

async function showAnswer(place, response, from, base64) {
  const read = await readAnswer(response);
  const facts = `${response.status} in ${seconds(from)}, version ${read.model_version ?? "unknown"}`;
  const raw = read.text === null ? null : h("details", {}, h("summary", {}, "As JSON"), h("pre", { tabindex: "0" }, read.text.slice(0, 20_000)), button("Save the answer", () => save("answer.json", [read.text], "application/json")));
  place.replaceChildren(h("p", { class: "facts" }, facts, h("small", {}, `Request ${response.headers.get("X-Request-Id")}`)), ...outputsOf(read, base64), ...(read.parameters ? [h("pre", {}, JSON.stringify(read.parameters, null, 2))] : []), ...(raw ? [raw] : []));
  say(`Answered: ${facts}.`);
}

/** Show each response of a stream when it comes; texts also as one. */
async function showStream(place, response, from, base64) {
  const text = h("pre", { class: "text", hidden: true });
  const list = h("ol", { class: "events", start: "0" });
  const facts = h("p", { class: "facts" });
  place.replaceChildren(facts, text, list);
  let count = 0;
  let first = null;
  for await (const event of events(response)) {
    const read = readText(event);
    if (read.error !== undefined) {
      place.append(failure({ message: read.error, code: read.code }));
      break;
    }
    first ??= seconds(from);
    count += 1;
    const piece = textOf(read);
    if (piece !== null && !base64.has(read.outputs[0].parameters?.content_type)) {
      text.hidden = false;
      text.append(piece);
    }
    facts.textContent = `${count} responses, the first after ${first}, the last after ${seconds(from)}`;
    if (count <= MOST_EVENTS) list.append(h("li", {}, h("small", {}, seconds(from)), piece === null ? outputsOf(read, base64) : h("code", {}, piece)));
  }
  say(`The stream has ended: ${count} responses in ${seconds(from)}.`);
}

function showCode(place, path, request, stream) {
  const key = getKey() !== null;
  const block = (title, text) => {
    const copy = button("Copy", async () => {
      try {
        await navigator.clipboard.writeText(text);
        say(`${title} is copied.`);
      } catch {
        getSelection().selectAllChildren(shown);
        say("The text is selected; copy it with the keyboard.");
      }
    });
    const shown = h("pre", { tabindex: "0", "aria-label": title, class: title.toLowerCase() }, text);
    return h("details", { open: true }, h("summary", {}, title), shown, h("p", { class: "row" }, copy));
  };
  const name = fileOf(request);
  place.replaceChildren(
    h("h2", {}, "The same with other clients"),
    needsFile(request) ? h("p", {}, button(`Save ${name}`, () => save(name, [bodyOf(request)])), " beside the command.") : "",
    key ? h("p", {}, "SRV_KEY is a variable with your key.") : "",
    block("curl", curl(path, request, { stream, key })),
    block("Python", pythonCode(path, { name: model, version }, request, { stream, key })),
  );
}

// -- the beginning -----------------------------------------------------------------------------------------------------

try {
  const about = await askJson("v2/docs/server.json");
  about.version = (await askJson("v2")).version;
  header(about);
  addEventListener("srv-key", () => header(about));
  await (model === null ? showModels(about) : showModel(about));
} catch (error) {
  main.replaceChildren(h("h1", {}, model ?? "Models"), failure(error), h("p", {}, button("Try again", () => location.reload())));
}
