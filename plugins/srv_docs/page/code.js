// The same request for other clients: curl, and Python with srv's client or with nothing at all.
import { at } from "./server.js";
import { nested, token } from "./values.js";

/** What is longer stands in a file beside the command. */
const LONGEST = 4000;

export const fileOf = (request) => (request.isBinary ? "request.bin" : "request.json");
export const needsFile = (request) => request.isBinary || request.text.length > LONGEST;

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** Return the command of curl. */
export function curl(path, request, { stream, key }) {
  const lines = [`curl -s${stream ? "N" : ""} ${quoted(at(path))}`];
  if (key) lines.push('-H "Authorization: Bearer $SRV_KEY"');
  if (request.isBinary) {
    lines.push("-H 'Content-Type: application/octet-stream'", `-H 'Inference-Header-Content-Length: ${headLength(request)}'`, "--data-binary @request.bin", "-o answer.bin");
  } else {
    lines.push("-H 'Content-Type: application/json'", needsFile(request) ? "-d @request.json" : `-d ${quoted(request.text)}`);
  }
  return lines.join(" \\\n  ");
}

export const headLength = (request) => new TextEncoder().encode(request.text).length;

const NUMPY = { FP: "float", INT: "int", UINT: "uint" };
const dtype = (datatype) => (datatype === "BOOL" ? "np.bool_" : datatype.replace(/^(FP|UINT|INT)(\d+)$/, (_, kind, bits) => `np.${NUMPY[kind]}${bits}`));
const WORDS = { null: "None", true: "True", false: "False" };

/** Return a value of JSON as Python writes it. */
function python(value) {
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (value !== null && typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${text(name)}: ${python(each)}`).join(", ")}}`;
  return typeof value === "string" ? text(value) : (WORDS[String(value)] ?? String(value));
}

/** Return a text as Python writes it: JSON's escapes are Python's too, but for pairs of surrogates, which stand as they are. */
const text = (value) => JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

/** Return an input as an expression of Python; null where the client has no plain value for it. */
function expression({ datatype, shape, values, contentType, octets, parameters }) {
  if (Object.keys(parameters).length || values.some((value) => value instanceof Uint8Array)) return null;
  if (datatype === "BYTES") {
    const isPlain = [undefined, null, "str"].includes(contentType);
    if (shape.length !== 1 || values.includes(null) || !(isPlain || octets)) return null;
    return octets ? `[${values.map((value) => `b64decode(${text(value)})`).join(", ")}]` : `[${values.map(text).join(", ")}]`;
  }
  if (datatype === "BF16" || shape.length === 0) return null;
  const leaf = (value) => {
    const said = token(datatype, value);
    return datatype === "BOOL" ? WORDS[said] : said === "null" ? "np.nan" : said;
  };
  const array = `np.array(${nested(values, shape, leaf).replace(/\n/g, "\n        ")}, ${dtype(datatype)})`;
  return values.length ? array : `np.empty((${shape.join(", ")},), ${dtype(datatype)})`;
}

/** Return a program of Python: with srv's client where that has a plain value for each input, else with its standard library. */
export function pythonCode(path, model, request, { stream, key }) {
  const inputs = request.tensors.map((tensor) => [tensor.name, needsFile(request) ? null : expression(tensor)]);
  if (inputs.some(([, said]) => said === null)) return withStandardLibrary(path, request, { stream, key });
  const body = inputs.map(([name, said]) => `        ${text(name)}: ${said},`).join("\n");
  const uses = (word) => inputs.some(([, said]) => said.includes(word));
  const options = [
    model.version === null ? "" : `, version=${text(model.version)}`,
    request.parameters === null ? "" : `, parameters=${python(request.parameters)}`,
  ].join("");
  const call = `client.${stream ? "stream" : "infer"}(${text(model.name)}, inputs${options})`;
  return [
    key ? "import os" : null,
    uses("b64decode(") ? "from base64 import b64decode" : null,
    key || uses("b64decode(") ? "" : null,
    uses("np.") ? "import numpy as np" : null,
    "from srv import Client",
    "",
    `with Client(${text(at("").replace(/\/$/, ""))}${key ? ', key=os.environ["SRV_KEY"]' : ""}) as client:`,
    `    inputs = {\n${body}\n    }`,
    stream ? `    for result in ${call}:\n        print(result.value)` : `    print(${call}.value)`,
  ].filter((line) => line !== null).join("\n");
}

function withStandardLibrary(path, request, { stream, key }) {
  const headers = [`"Content-Type": "application/${request.isBinary ? "octet-stream" : "json"}"`];
  if (request.isBinary) headers.push(`"Inference-Header-Content-Length": "${headLength(request)}"`);
  if (key) headers.push('"Authorization": "Bearer " + os.environ["SRV_KEY"]');
  const body = needsFile(request) ? `open("${fileOf(request)}", "rb").read()` : `${text(request.text)}.encode()`;
  return [
    key ? "import os" : null,
    "from urllib.request import Request, urlopen",
    "",
    `body = ${body}`,
    `request = Request(${text(at(path))}, body, {${headers.join(", ")}})`,
    "with urlopen(request) as response:",
    stream ? "    for line in response:\n        print(line.decode(), end=\"\")" : `    print(response.read()${request.isBinary ? "" : ".decode()"})`,
  ].filter((line) => line !== null).join("\n");
}
