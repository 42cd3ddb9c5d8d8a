// The same request for other clients: curl, and Python with srv's client or with nothing at all.
import { at, getKey } from "./server.js";
import { isOctets, nested, token } from "./values.js";

const LONGEST = 4000;

export const needsFile = ({ isBinary, text }) => isBinary || text.length > LONGEST;
export const headersOf = ({ isBinary, text }) =>
	isBinary ? { "Content-Type": "application/octet-stream", "Inference-Header-Content-Length": String(new Blob([text]).size) } : { "Content-Type": "application/json" };

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(path, request, stream) {
	const headers = Object.entries(headersOf(request)).map(([name, value]) => `-H '${name}: ${value}'`);
	if (getKey()) headers.push('-H "Authorization: Bearer $SRV_KEY"');
	const body = needsFile(request) ? `--data-binary @${request.file}` : `-d ${quoted(request.text)}`;
	return [`curl -s${stream ? "N" : ""} ${quoted(at(path))}`, ...headers, body, ...(request.isBinary ? ["-o answer.bin"] : [])].join(" \\\n  ");
}

const WORDS = { null: "None", true: "True", false: "False" };

// Return a text as Python writes it: JSON's escapes are Python's too.
const text = (value) => JSON.stringify(value).replace(/[\x7f-\x9f\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

function python(value) {
	if (typeof value === "string") return text(value);
	if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
	if (value && typeof value === "object") return `{${Object.entries(value).map(([name, each]) => `${text(name)}: ${python(each)}`).join(", ")}}`;
	return WORDS[value] ?? String(value);
}

// Return an input as an expression of Python; null where the client has no plain value for it.
function expression({ datatype, shape, values, contentType, octets, parameters }) {
	if (Object.keys(parameters).some((each) => each !== "content_type") || values.length === 0 || values.some(isOctets)) return null;
	if (datatype === "BYTES") {
		if (shape.length !== 1 || values.includes(null) || !(octets || [undefined, null, "str"].includes(contentType))) return null;
		return `[${values.map((value) => (octets ? `b64decode(${text(value)})` : text(value))).join(", ")}]`;
	}
	const kind = /^(FP|U?INT)\d|^BOOL/.exec(datatype);
	if (kind === null || shape.length === 0) return null;
	const type = kind[1] ? datatype.toLowerCase().replace("fp", "float") : "bool_";
	const leaf = (value) => token(datatype, value).replace(/^(true|false)$/, (word) => WORDS[word]).replace("null", "np.nan");
	return `np.array(${nested(values, shape, leaf).replaceAll("\n", "\n        ")}, np.${type})`;
}

// Return a program: with srv's client where that has a plain value for each input, else with the standard library.
export function pythonCode(path, { name, version }, request, stream) {
	const inputs = request.tensors.map((tensor) => [tensor.name, needsFile(request) ? null : expression(tensor)]);
	const body = inputs.map(([each, said]) => `        ${text(each)}: ${said},\n`).join("");
	const key = getKey() && 'os.environ["SRV_KEY"]';
	const begin = (...imports) => imports.filter(Boolean).join("\n");
	if (inputs.some(([, said]) => said === null)) {
		const headers = { ...headersOf(request), ...(key && { Authorization: "Bearer " }) };
		const given = python(headers).replace('"Bearer "', `"Bearer " + ${key}`);
		return `${begin(key && "import os", "from urllib.request import Request, urlopen")}

body = ${needsFile(request) ? `open("${request.file}", "rb").read()` : `${text(request.text)}.encode()`}
with urlopen(Request(${text(at(path))}, body, ${given})) as response:
    ${stream ? 'for line in response:\n        print(line.decode(), end="")' : `print(response.read()${request.isBinary ? "" : ".decode()"})`}`;
	}
	const options = (version === null ? "" : `, version=${text(version)}`) + (request.parameters ? `, parameters=${python(request.parameters)}` : "");
	const call = `client.${stream ? "stream" : "infer"}(${text(name)}, inputs${options})`;
	return `${begin(key && "import os", body.includes("b64decode(") && "from base64 import b64decode", body.includes("np.array(") && "import numpy as np", "from srv import Client")}

with Client(${text(at("").slice(0, -1))}${key ? `, key=${key}` : ""}) as client:
    inputs = {
${body}    }
    ${stream ? `for result in ${call}:\n        print(result.value)` : `print(${call}.value)`}`;
}
