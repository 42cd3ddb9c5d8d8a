// Values of tensors. Numbers stay the texts that were typed, because JavaScript's numbers do not hold every INT64.

const whole = (bits, signed) => {
  const all = 1n << BigInt(bits);
  return signed ? [-all / 2n, all / 2n - 1n] : [0n, all - 1n];
};
const RANGES = {};
for (const bits of [8, 16, 32, 64]) {
  RANGES[`INT${bits}`] = whole(bits, true);
  RANGES[`UINT${bits}`] = whole(bits, false);
}

const FLOATS = { FP16: 2, BF16: 2, FP32: 4, FP64: 8 };

export const DATATYPES = ["BOOL", ...Object.keys(RANGES), ...Object.keys(FLOATS), "BYTES"];

export const isNumeric = (datatype) => datatype !== "BYTES" && datatype !== "BOOL";
export const isFloat = (datatype) => datatype in FLOATS;
export const sizeOf = (shape) => shape.reduce((size, length) => size * length, 1);

/** What a field of a datatype takes, for people. */
export function takes(datatype) {
  if (datatype in RANGES) return `a whole number from ${RANGES[datatype].join(" to ")}`;
  if (isFloat(datatype)) return "a number, or null for none";
  return datatype === "BOOL" ? "true or false" : "text";
}

/** Return a value as it stands in JSON. Throws an Error that says what the datatype takes. */
export function token(datatype, value) {
  if (datatype === "BYTES") return value === null ? "null" : JSON.stringify(value);
  const text = value === null ? "null" : String(value).trim();
  if (datatype === "BOOL") {
    if (["true", "1"].includes(text.toLowerCase())) return "true";
    if (["false", "0"].includes(text.toLowerCase())) return "false";
  } else if (datatype in RANGES) {
    const [least, most] = RANGES[datatype];
    if (/^[+-]?\d+$/.test(text) && BigInt(text.replace("+", "")) >= least && BigInt(text.replace("+", "")) <= most) {
      return String(BigInt(text.replace("+", "")));
    }
  } else {
    if (/^(null|nan)$/i.test(text)) return "null";
    if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return text;
    if (text !== "" && Number.isFinite(Number(text))) return String(Number(text));
  }
  const shown = text === "" ? "Nothing" : `'${text.slice(0, 40)}'`;
  throw new Error(`${shown} is no ${datatype}; it takes ${takes(datatype)}.`);
}

/** Return a flat list as nested lists, made of texts that `leaf` gives. */
export function nested(values, shape, leaf, [open, close] = ["[", "]"]) {
  let place = 0;
  const write = (depth, indent) => {
    if (depth === shape.length) return leaf(values[place++]);
    const inner = Array.from({ length: shape[depth] }, () => write(depth + 1, `${indent} `));
    return open + inner.join(depth === shape.length - 1 ? ", " : `,\n${indent} `) + close;
  };
  return write(0, "");
}

/** Read nested lists of JSON, with NaN beside null, as flat values and a shape. Numbers stay texts. */
export function readNested(text) {
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\],]|[^\s[\],"]+|"/g) ?? [];
  const values = [];
  let place = 0;
  const read = (depth) => {
    const next = tokens[place++];
    if (next === "[") {
      const shapes = [];
      if (tokens[place] === "]") place += 1;
      else {
        do shapes.push(read(depth + 1));
        while (tokens[place++] === ",");
        if (tokens[place - 1] !== "]") throw new Error(`A comma or ] is missing before '${tokens[place - 1] ?? "the end"}'.`);
      }
      if (shapes.some((shape) => String(shape) !== String(shapes[0]))) throw new Error("The lists differ in length.");
      return [shapes.length, ...(shapes[0] ?? [])];
    }
    if (next === undefined || next === "]" || next === ",") throw new Error(`A value is missing before '${next ?? "the end"}'.`);
    values.push(next === "null" ? null : next.startsWith('"') ? JSON.parse(next) : next);
    return [];
  };
  const shape = read(0);
  if (place < tokens.length) throw new Error(`'${tokens[place]}' stands behind the end.`);
  return { shape, values };
}

// -- binary tensors ----------------------------------------------------------------------------------------------------

const single = new DataView(new ArrayBuffer(4));

/** Return the nearest BF16, ties to even, as its bits. */
function toBrain(number) {
  single.setFloat32(0, number);
  const bits = single.getUint32(0);
  if (Number.isNaN(number)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

const width = (datatype) => FLOATS[datatype] ?? (datatype === "BOOL" ? 1 : Number(datatype.replace(/\D+/, "")) / 8);

const WRITE = {
  FP16: (view, at, text) => view.setFloat16(at, Number(text), true),
  BF16: (view, at, text) => view.setUint16(at, toBrain(Number(text)), true),
  FP32: (view, at, text) => view.setFloat32(at, Number(text), true),
  FP64: (view, at, text) => view.setFloat64(at, Number(text), true),
  BOOL: (view, at, text) => view.setUint8(at, text === "true" ? 1 : 0),
};

/** Return a tensor's bytes as the binary form has them. `octets` says that texts of BYTES are base64. */
export function toBytes(datatype, values, octets) {
  if (datatype === "BYTES") {
    const parts = values.flatMap((value) => {
      const bytes = value instanceof Uint8Array ? value : octets ? fromBase64(value) : new TextEncoder().encode(value);
      const head = new DataView(new ArrayBuffer(4));
      head.setUint32(0, bytes.length, true);
      return [new Uint8Array(head.buffer), bytes];
    });
    return joined(parts);
  }
  const size = width(datatype);
  const view = new DataView(new ArrayBuffer(values.length * size));
  const write = WRITE[datatype] ?? ((to, at, text) => {
    if (size === 8) to.setBigInt64(at, BigInt.asIntN(64, BigInt(text)), true);
    else to[`setInt${size * 8}`](at, Number(text), true);
  });
  values.forEach((value, place) => {
    const text = token(datatype, value);
    write(view, place * size, text === "null" ? "NaN" : text);
  });
  return new Uint8Array(view.buffer);
}

export function joined(parts) {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let place = 0;
  for (const part of parts) {
    all.set(part, place);
    place += part.length;
  }
  return all;
}

/** Return the values in a tensor's bytes; those of BYTES are bytes. */
export function fromBytes(datatype, bytes, little = true) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = [];
  if (datatype === "BYTES") {
    for (let at = 0; at < bytes.length; ) {
      const length = view.getUint32(at, true);
      values.push(bytes.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    return values;
  }
  const size = width(datatype);
  for (let at = 0; at < bytes.length; at += size) {
    if (datatype === "BOOL") values.push(view.getUint8(at) !== 0);
    else if (datatype === "FP16") values.push(view.getFloat16(at, little));
    else if (datatype === "BF16") {
      single.setUint32(0, view.getUint16(at, little) << 16);
      values.push(single.getFloat32(0));
    } else if (datatype === "FP32") values.push(shortest(view.getFloat32(at, little)));
    else if (datatype === "FP64") values.push(view.getFloat64(at, little));
    else {
      const [kind, bits] = [datatype.startsWith("U") ? "Uint" : "Int", size * 8];
      values.push(bits === 64 ? String(view[`getBig${kind}64`](at, little)) : view[`get${kind}${bits}`](at, little));
    }
  }
  return values;
}

/** Return the shortest decimal that is the same FP32. */
function shortest(number) {
  for (let digits = 6; digits < 9; digits += 1) {
    const short = Number(number.toPrecision(digits));
    if (Math.fround(short) === number) return short;
  }
  return number;
}

export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export function toBase64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return btoa(text);
}
