// Answers: tensors as tables, pictures or text.
import { button, h, save, scrolling, table, tr } from "./dom.js";
import { decoded, imageType } from "./files.js";
import { readJson } from "./server.js";
import { fromBase64, fromBytes, isOctets, nested } from "./values.js";

const ROWS = 100;
const COLUMNS = 60;
const MOST_TEXT = 20_000;

// Read a response: its outputs with flat values, and its JSON as text where that is all of it.
export async function readAnswer(response) {
	const length = Number(response.headers.get("Inference-Header-Content-Length"));
	if (!length) return readText(await response.text());
	const bytes = new Uint8Array(await response.arrayBuffer());
	const answer = readJson(new TextDecoder().decode(bytes.subarray(0, length)));
	let at = length;
	for (const output of answer.outputs) {
		const size = output.parameters?.binary_data_size;
		if (size === undefined) continue;
		output.data = fromBytes(output.datatype, bytes.slice(at, at + size));
		at += size;
	}
	return answer;
}

export const readText = (text) => ({ ...readJson(text), text });

// Show the outputs of an answer: together as a table where each has a value for each row.
export function outputsOf({ outputs = [] }, base64) {
	for (const output of outputs) {
		output.data = output.data.flat(Infinity);
		if (base64.has(output.parameters?.content_type)) output.data = output.data.map((value) => (isOctets(value) ? value : fromBase64(value)));
	}
	const size = outputs[0]?.shape[0];
	const isColumn = ({ shape, data }) => shape[0] === size && data.length === size && !data.some(isOctets);
	if (outputs.length > 1 && size > 1 && outputs.every(isColumn)) {
		const rows = Array.from({ length: size }, (_, place) => outputs.map((output) => output.data[place]));
		return [h("section", h("h3", "Rows"), growing("Rows of the answer", rows, outputs.map((output) => output.name)))];
	}
	return outputs.map((output) => h("section", h("h3", output.name, h("small", `${output.datatype} [${output.shape.join(", ")}]`)), tensor(output)));
}

function tensor({ name, datatype, shape, data }) {
	if (data.some((value) => isOctets(value) && (imageType(value) || decoded(value) === null))) return h("div", data.map((value, place) => file(`${name}-${place}`, value)));
	if (datatype === "UINT8" && isPicture(shape)) return drawn(name, data, shape);
	if (data.length === 1 && datatype === "BYTES") return scrolling(`Text of ${name}`, h("pre", { class: "text" }, cut(shown(data[0]))));
	if (data.length === 1) return h("p", { class: "value" }, shown(data[0]));
	if (shape.length > 2 || data.length === 0) return scrolling(`Values of ${name}`, h("pre", cut(nested(data, shape, shown))));
	const columns = shape[1] ?? 1;
	const rows = Array.from({ length: shape[0] }, (_, place) => data.slice(place * columns, (place + 1) * columns));
	return growing(`Values of ${name}`, rows, columns > 1 ? Object.keys(rows[0]) : null);
}

const shown = (value) => (isOctets(value) ? decoded(value) : String(value));
const cut = (text) => (text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}\n… ${text.length - MOST_TEXT} more characters` : text);

// Show bytes: a picture is drawn, not linked, because the page's policy allows nothing but the server's own files.
function file(name, bytes) {
	const type = imageType(bytes);
	const keep = () => save(type ? `${name}.${type.slice(6)}` : name, [bytes], type ?? undefined);
	const place = h("figure", button(`Save ${name} (${bytes.length} bytes)`, keep));
	if (type) {
		createImageBitmap(new Blob([bytes], { type })).then(
			(picture) => place.prepend(canvas(name, picture.width, picture.height, (on) => on.drawImage(picture, 0, 0))),
			() => place.prepend("The picture is broken."),
		);
	}
	return place;
}

function canvas(name, width, height, draw) {
	const made = h("canvas", { width, height, role: "img", "aria-label": `Picture ${name}, ${width} by ${height}` });
	draw(made.getContext("2d"));
	return made;
}

const isPicture = (shape) => (shape.length === 3 || (shape.length === 4 && shape[0] === 1)) && [1, 3, 4].includes(shape.at(-1)) && shape.at(-2) > 7 && shape.at(-3) > 7;

function drawn(name, data, shape) {
	const [height, width, depth] = shape.slice(-3);
	const levels = new Uint8ClampedArray(4 * width * height).fill(255);
	levels.forEach((_, place) => {
		const colour = place % 4;
		if (colour < 3 || depth === 4) levels[place] = data[Math.floor(place / 4) * depth + (depth === 1 ? 0 : colour)];
	});
	return canvas(name, width, height, (on) => on.putImageData(new ImageData(levels, width, height), 0, 0));
}

// Show rows, the first of them at once and more when they are asked for.
function growing(label, rows, names) {
	const columns = Math.min(COLUMNS, rows[0]?.length ?? 0);
	const made = table(names && names.slice(0, columns), []);
	const cell = (value) => h("span", { class: typeof value === "number" || /^-?\d{16,}$/.test(value) ? "number" : "" }, shown(value));
	const grow = () => {
		const from = made.tBodies[0].rows.length;
		const added = rows.slice(from, from + (from ? 10 * ROWS : ROWS));
		made.tBodies[0].append(...added.map((cells, place) => tr(from + place, [...cells.slice(0, columns).map(cell), ...(cells.length > columns ? ["…"] : [])])));
		more.textContent = `Show more: ${from + added.length} of ${rows.length} rows are here`;
		more.hidden = from + added.length >= rows.length;
	};
	const more = button("", grow);
	grow();
	return h("div", scrolling(label, made), more);
}

// Return the text of an answer that has one output of one text, else null.
export function textOf({ outputs = [] }, base64) {
	const [only, ...others] = outputs;
	const isText = others.length === 0 && only?.datatype === "BYTES" && only.data.length === 1 && !base64.has(only.parameters?.content_type);
	return isText ? String(only.data[0]) : null;
}
