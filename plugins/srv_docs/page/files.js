// Files as values of tensors: tables of CSV, arrays of numpy, pictures, and any other as its bytes.
import { fromBytes, isFloat, isOctets, sizeOf, toBase64, token } from "./values.js";

const MOST = 2_000_000;

// Return the rows of a text of values separated by comma, semicolon or tab.
export function readCsv(text) {
	const all = text.replace(/^\ufeff/, "");
	const first = all.split("\n", 1)[0].replace(/"[^"]*"/g, "");
	const separator = [",", ";", "\t"].sort((one, other) => first.split(other).length - first.split(one).length)[0];
	const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${separator}\\r\\n]*))(${separator}|\\r?\\n|$)`, "y");
	const rows = [];
	let row = [];
	while (cell.lastIndex < all.length) {
		const found = cell.exec(all);
		if (found === null) throw new Error(`Row ${rows.length + 1} of the file is not CSV: a quote stands where none may.`);
		row.push(found[1]?.replaceAll('""', '"') ?? found[2]);
		const isLast = cell.lastIndex >= all.length;
		if (found[3] === separator && !isLast) continue;
		if (found[3] === separator) row.push("");
		if (row.length > 1 || row[0]) rows.push(row);
		row = [];
	}
	if (rows.length === 0) throw new Error("The file has no rows.");
	const wrong = rows.findIndex((each) => each.length !== rows[0].length);
	if (wrong > 0) throw new Error(`Row ${wrong + 1} of the file has ${rows[wrong].length} cells, and the first has ${rows[0].length}.`);
	return rows;
}

// Return a cell's value: an empty one of floats is null.
const given = (datatype, cell) => (cell === "" && isFloat(datatype) ? null : cell);

// Return the columns of a CSV file for inputs, each with its values.
export function columnsOf([head, ...below], inputs) {
	return inputs.map(({ name, datatype }) => {
		const place = head.indexOf(name);
		if (place < 0) throw new Error(`The file has no column '${name}'; its first line has: ${head.join(", ")}.`);
		if (below.length === 0) throw new Error("The file has a line of names and no rows.");
		return below.map((row, number) => {
			const value = given(datatype, row[place]);
			try {
				token(datatype, value);
			} catch (error) {
				throw new Error(`Column '${name}', row ${number}: ${error.message}`);
			}
			return value;
		});
	});
}

// Return the shape and values that a file has for an input. Throws an Error where it does not fit.
export async function readFile(file, input) {
	const bytes = new Uint8Array(await file.arrayBuffer());
	return fits(await read(bytes, file, input), input);
}

function read(bytes, file, input) {
	if (begins(bytes, "\x93NUMPY")) return readNpy(bytes, input);
	const isPicture = file.type.startsWith("image/") || imageType(bytes);
	if (input.datatype === "BYTES") return { values: [input.octets ? toBase64(bytes) : isPicture ? bytes : (decoded(bytes) ?? bytes)] };
	if (isPicture) return pixels(new Blob([bytes], { type: file.type }), input);
	const text = decoded(bytes);
	if (text === null) throw new Error("The file is neither a table, nor of numpy, nor a picture.");
	let rows = readCsv(text);
	if (rows.length > 1 && rows[0].some((cell) => cell && Number.isNaN(Number(cell)) && !/^(true|false|null|nan)$/i.test(cell))) rows = rows.slice(1);
	const columns = rows[0].length;
	const shape = input.declared?.length === 1 && columns === 1 ? [rows.length] : [rows.length, columns];
	return { shape, values: rows.flat().map((cell) => given(input.datatype, cell)) };
}

export function decoded(bytes) {
	try {
		return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
	} catch {
		return null;
	}
}

// Check values and shape against what the model declares; a length of 1 in front may be missing.
function fits({ shape, values }, { declared, datatype }) {
	let lengths = shape ?? (declared ?? [1]).map(() => 1);
	if (values.length > MOST) throw new Error(`The file has ${values.length} values, too many for a page; 'srv infer' sends files of any size.`);
	if (declared !== null) {
		if (declared.length === lengths.length + 1 && Math.abs(declared[0]) === 1) lengths = [1, ...lengths];
		if (declared.length !== lengths.length || declared.some((length, place) => length >= 0 && length !== lengths[place])) {
			throw new Error(`The file gives the shape ${shown(lengths)}, and the model takes ${shown(declared)}.`);
		}
	}
	for (const value of values) if (!isOctets(value)) token(datatype, value);
	return { shape: lengths, values };
}

export const shown = (shape) => `[${(shape ?? [-1]).map((length) => (length < 0 ? "any" : length)).join(", ")}]`;

const NUMPY = { b: "BOOL", i: "INT", u: "UINT", f: "FP" };

function readNpy(bytes, { name, datatype }) {
	const view = new DataView(bytes.buffer);
	const start = bytes[6] > 1 ? 12 + view.getUint32(8, true) : 10 + view.getUint16(8, true);
	const head = new TextDecoder().decode(bytes.subarray(10, start));
	const [, order, kind, size] = /'descr':\s*'([<>|=]?)([a-zA-Z])(\d*)'/.exec(head) ?? [];
	const shape = (/'shape':\s*\(([^)]*)/.exec(head)?.[1] ?? "").split(",").filter((length) => length.trim()).map(Number);
	const body = bytes.slice(start);
	if (!(kind in NUMPY)) throw new Error("The file's array is neither of numbers nor of truth values.");
	if (datatype === "BYTES") throw new Error(`The file's array is of numbers, and '${name}' is BYTES.`);
	let values = fromBytes(kind === "b" ? "BOOL" : `${NUMPY[kind]}${size * 8}`, body, order !== ">").map(String);
	if (/'fortran_order':\s*True/.test(head)) values = rowMajor(values, shape);
	return { shape, values };
}

function rowMajor(values, shape) {
	const steps = shape.map((_, place) => sizeOf(shape.slice(0, place)));
	return values.map((_, place) => {
		let [rest, at] = [place, 0];
		for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
			at += (rest % shape[axis]) * steps[axis];
			rest = Math.floor(rest / shape[axis]);
		}
		return values[at];
	});
}

const begins = (bytes, text) => [...text].every((character, place) => bytes[place] === character.charCodeAt(0));

// Return the media type of a picture by its first bytes, or null.
export function imageType(bytes) {
	const kinds = { png: "\x89PNG", jpeg: "\xff\xd8\xff", gif: "GIF8" };
	if (begins(bytes, "RIFF") && begins(bytes.subarray(8), "WEBP")) return "image/webp";
	const kind = Object.keys(kinds).find((each) => begins(bytes, kinds[each]));
	return kind ? `image/${kind}` : null;
}

// Return a picture's pixels, colours first or last, in the sizes that the model declares.
async function pixels(blob, { declared, datatype }) {
	const shape = (declared ?? [-1, -1, 3]).slice(-3);
	const isColour = (length) => [1, 3, 4].includes(length);
	const last = isColour(shape[2]);
	if (shape.length < 3 || !(last || isColour(shape[0]))) throw new Error(`A picture is rows, columns and 1, 3 or 4 colours, and the model takes ${shown(declared)}.`);
	const picture = await createImageBitmap(blob);
	const [rows, columns] = last ? shape : shape.slice(1);
	const depth = last ? shape[2] : shape[0];
	const [height, width] = [rows < 0 ? picture.height : rows, columns < 0 ? picture.width : columns];
	const canvas = new OffscreenCanvas(width, height).getContext("2d");
	canvas.drawImage(picture, 0, 0, width, height);
	const { data } = canvas.getImageData(0, 0, width, height);
	const count = width * height;
	const values = Array.from({ length: count * depth }, (_, place) => {
		const [at, colour] = last ? [4 * Math.floor(place / depth), place % depth] : [4 * (place % count), Math.floor(place / count)];
		const level = depth === 1 ? Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) : data[at + colour];
		return String(isFloat(datatype) ? level / 255 : level);
	});
	return { shape: last ? [height, width, depth] : [depth, height, width], values };
}
