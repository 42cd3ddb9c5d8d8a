// Values of tensors. Numbers stay the texts that were typed, because JavaScript's numbers do not hold every INT64.

const RANGES = {};
for (const bits of [8n, 16n, 32n, 64n]) {
	RANGES[`INT${bits}`] = [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
	RANGES[`UINT${bits}`] = [0n, 2n ** bits - 1n];
}

export const DATATYPES = ["BOOL", ...Object.keys(RANGES), "FP16", "BF16", "FP32", "FP64", "BYTES"];
export const isFloat = (datatype) => /^.?F/.test(datatype);
export const sizeOf = (shape) => shape.reduce((size, length) => size * length, 1);
export const isOctets = (value) => value instanceof Uint8Array;

export function takes(datatype) {
	if (datatype in RANGES) return `a whole number from ${RANGES[datatype].join(" to ")}`;
	return { BOOL: "true or false", BYTES: "text" }[datatype] ?? "a number, or null for none";
}

// Return a value as it stands in JSON. Throws an Error that says what the datatype takes.
export function token(datatype, value) {
	if (datatype === "BYTES") return JSON.stringify(value);
	const text = String(value).trim();
	if (datatype === "BOOL") {
		if (/^(true|1)$/i.test(text)) return "true";
		if (/^(false|0)$/i.test(text)) return "false";
	} else if (datatype in RANGES) {
		const number = /^-?\d+$/.test(text) ? BigInt(text) : null;
		if (number !== null && number >= RANGES[datatype][0] && number <= RANGES[datatype][1]) return String(number);
	} else {
		if (/^(null|nan)$/i.test(text)) return "null";
		if (/^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i.test(text)) return text;
		if (text && Number.isFinite(Number(text))) return String(Number(text));
	}
	throw new Error(`'${text.slice(0, 40)}' is no ${datatype}; it takes ${takes(datatype)}.`);
}

export function nested(values, shape, leaf) {
	let place = 0;
	const write = (depth, indent) => {
		if (depth === shape.length) return leaf(values[place++]);
		const inner = Array.from({ length: shape[depth] }, () => write(depth + 1, `${indent} `));
		return `[${inner.join(depth === shape.length - 1 ? ", " : `,\n${indent} `)}]`;
	};
	return write(0, "");
}

// Read nested lists of JSON, with NaN beside null, as flat values and a shape.
export function readNested(text) {
	const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\],]|[^\s[\],"]+|"/g) ?? [];
	const values = [];
	let place = 0;
	const wrong = () => new Error(`This is not the JSON of nested lists; see '${tokens.slice(place - 2, place).join(" ")}'.`);
	const read = () => {
		const next = tokens[place++];
		if (next === "[") {
			const shapes = [];
			if (tokens[place] === "]") place += 1;
			else {
				do shapes.push(read());
				while (tokens[place++] === ",");
				if (tokens[place - 1] !== "]") throw wrong();
			}
			if (shapes.some((shape) => String(shape) !== String(shapes[0]))) throw new Error("The lists differ in length.");
			return [shapes.length, ...(shapes[0] ?? [])];
		}
		if (next === undefined || "],".includes(next)) throw wrong();
		values.push(next === "null" ? null : next[0] === '"' ? JSON.parse(next) : next);
		return [];
	};
	const shape = read();
	if (place++ < tokens.length) throw wrong();
	return { shape, values };
}

// The methods of a DataView for a datatype, by their ending, and its size in bytes.
function access(datatype) {
	const bits = datatype === "BOOL" ? 8 : Number(datatype.replace(/\D+/, ""));
	const kind = datatype === "BOOL" || datatype === "BF16" || datatype[0] === "U" ? "Uint" : isFloat(datatype) ? "Float" : "Int";
	return [(bits === 64 && kind !== "Float" ? "Big" : "") + kind + bits, bits / 8];
}

const single = new DataView(new ArrayBuffer(4));

// Return the nearest BF16, ties to even, as its bits.
function toBrain(number) {
	single.setFloat32(0, number);
	const bits = single.getUint32(0);
	return Number.isNaN(number) ? 0x7fc0 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

// Return a tensor's bytes as a Blob. `octets` says that texts of BYTES are base64.
export function toBlob(datatype, values, octets) {
	if (datatype === "BYTES") {
		const parts = values.map((value) => new Blob([isOctets(value) ? value : octets ? fromBase64(value) : value]));
		return new Blob(parts.flatMap((part) => [Uint32Array.of(part.size), part]));
	}
	const [method, size] = access(datatype);
	const view = new DataView(new ArrayBuffer(values.length * size));
	values.forEach((value, place) => {
		const text = token(datatype, value);
		const number = size === 8 && !isFloat(datatype) ? BigInt(text) : text === "null" ? NaN : Number(JSON.parse(text));
		view[`set${method}`](place * size, datatype === "BF16" ? toBrain(number) : number, true);
	});
	return new Blob([view]);
}

// Return the values in a tensor's bytes; those of BYTES are bytes.
export function fromBytes(datatype, bytes, little = true) {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const values = [];
	if (datatype === "BYTES") {
		for (let at = 0; at < bytes.length; ) {
			const end = at + 4 + view.getUint32(at, true);
			values.push(bytes.subarray(at + 4, end));
			at = end;
		}
		return values;
	}
	const [method, size] = access(datatype);
	for (let at = 0; at < bytes.length; at += size) {
		const read = view[`get${method}`](at, little);
		if (datatype === "BF16") single.setUint32(0, read << 16);
		values.push(datatype === "BOOL" ? Boolean(read) : datatype === "BF16" ? single.getFloat32(0) : datatype === "FP32" ? shortest(read) : typeof read === "bigint" ? String(read) : read);
	}
	return values;
}

// Return the shortest decimal that is the same FP32.
function shortest(number) {
	const short = [6, 7, 8].map((digits) => Number(number.toPrecision(digits)));
	return short.find((each) => Math.fround(each) === number) ?? number;
}

export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export function toBase64(bytes) {
	let text = "";
	for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
	return btoa(text);
}
