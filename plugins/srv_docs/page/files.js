// Files as values of tensors: tables of CSV, arrays of numpy, pictures, and any other as its bytes.
import { fromBytes, isFloat, isNumeric, sizeOf, toBase64, token } from "./values.js";

/** More than a page should hold as texts. */
const MOST = 2_000_000;

/** Return the rows of a text of comma-, semicolon- or tab-separated values. */
export function readCsv(text) {
  const first = text.replace(/^\ufeff/, "").split(/\r?\n/, 1)[0].replace(/"[^"]*"/g, "");
  const separator = [",", ";", "\t"].sort((one, other) => first.split(other).length - first.split(one).length)[0];
  const rows = [];
  let row = [];
  const cell = new RegExp(`(?:"((?:[^"]|"")*)"|([^"${separator}\\r\\n]*))(${separator}|\\r?\\n|$)`, "y");
  const all = text.replace(/^\ufeff/, "");
  while (cell.lastIndex < all.length) {
    const found = cell.exec(all);
    if (found === null) throw new Error(`Line ${rows.length + 1} of the file is not CSV: a quote stands where none may.`);
    row.push(found[1] !== undefined ? found[1].replaceAll('""', '"') : found[2]);
    if (found[3] === separator && cell.lastIndex < all.length) continue;
    if (found[3] === separator) row.push("");
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  }
  const wrong = rows.findIndex((each) => each.length !== rows[0].length);
  if (wrong > 0) throw new Error(`Row ${wrong + 1} of the file has ${rows[wrong].length} cells, and the first has ${rows[0].length}.`);
  if (rows.length === 0) throw new Error("The file has no rows.");
  return rows;
}

/** Return the columns of a CSV file for inputs of these names, each with its values. */
export function columnsOf(rows, names) {
  const [head, ...below] = rows;
  const missing = names.filter((name) => !head.includes(name));
  if (missing.length) throw new Error(`The file has no column '${missing.join("', '")}'; its first line has: ${head.join(", ")}.`);
  if (below.length === 0) throw new Error("The file has a line of names and no rows.");
  return names.map((name) => below.map((row) => row[head.indexOf(name)]));
}

/** Return what an input takes from a file: its shape and values. Throws an Error that says what does not fit. */
export async function readFile(file, input) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes[0] === 0x93 && String.fromCharCode(...bytes.subarray(1, 6)) === "NUMPY") return fits(readNpy(bytes, input), input);
  const isPicture = /^image\//.test(file.type) || imageType(bytes) !== null;
  if (input.datatype === "BYTES") return fits({ values: [asBytes(bytes, input, isPicture)] }, input);
  if (isPicture) return fits(await pixels(new Blob([bytes], { type: file.type }), input), input);
  let rows = readCsv(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  if (rows[0].some((cell) => !isValue(input.datatype, cell)) && rows.length > 1) rows = rows.slice(1);
  const shape = input.declared?.length === 1 && rows[0].length === 1 ? [rows.length] : [rows.length, rows[0].length];
  return fits({ shape, values: rows.flat().map((cell) => cell || (isFloat(input.datatype) ? null : cell)) }, input);
}

function isValue(datatype, cell) {
  try {
    token(datatype, cell || "0");
    return true;
  } catch {
    return false;
  }
}

function asBytes(bytes, input, isPicture) {
  if (input.octets) return toBase64(bytes);
  if (!isPicture) {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      // It is no text, and goes as the bytes that it is.
    }
  }
  return bytes;
}

/** Check values and shape against what the model declares; a shape of one more length 1 in front is fine. */
function fits(read, input) {
  let { shape } = read;
  const { values } = read;
  const { declared } = input;
  shape ??= (declared ?? [1]).map(() => 1);
  if (values.length > MOST) throw new Error(`The file has ${values.length} values, more than a page can hold; 'srv infer' sends files of any size.`);
  if (declared !== null && declared.length === shape.length + 1 && [1, -1].includes(declared[0])) shape = [1, ...shape];
  if (declared !== null && sizeOf(shape) > 0) {
    const same = declared.length === shape.length && declared.every((length, place) => length < 0 || length === shape[place]);
    if (!same) throw new Error(`The file gives the shape [${shape.join(", ")}], and the model takes [${declared.map((length) => (length < 0 ? "any" : length)).join(", ")}].`);
  }
  for (const value of values) if (!(value instanceof Uint8Array)) token(input.datatype, value);
  return { shape, values };
}

// -- numpy -------------------------------------------------------------------------------------------------------------

const NUMPY = { b: "BOOL", i: "INT", u: "UINT", f: "FP" };

function readNpy(bytes, input) {
  const view = new DataView(bytes.buffer);
  const long = bytes[6] > 1;
  const start = (long ? 12 : 10) + (long ? view.getUint32(8, true) : view.getUint16(8, true));
  const head = new TextDecoder().decode(bytes.subarray(long ? 12 : 10, start));
  const [, order, kind, size] = /'descr':\s*'([<>|=]?)([a-zA-Z])(\d*)'/.exec(head) ?? [];
  const lengths = /'shape':\s*\(([^)]*)\)/.exec(head)?.[1] ?? "";
  const shape = lengths.split(",").map((length) => length.trim()).filter(Boolean).map(Number);
  const body = bytes.slice(start);
  let values;
  if (kind === "U" || kind === "S") values = texts(body, kind, Number(size), order !== ">");
  else if (kind in NUMPY) values = fromBytes(kind === "b" ? "BOOL" : `${NUMPY[kind]}${size * 8}`, body, order !== ">").map(String);
  else throw new Error("The file's array is of Python objects or of records, which no tensor holds.");
  if ((kind === "U" || kind === "S") !== (input.datatype === "BYTES")) throw new Error(`The file's array is of ${kind === "U" || kind === "S" ? "text" : "numbers"}, and '${input.name}' is ${input.datatype}.`);
  if (/'fortran_order':\s*True/.test(head)) values = rowMajor(values, shape);
  if (kind === "f" && isNumeric(input.datatype) && !isFloat(input.datatype)) {
    values = values.map((value) => (Number.isInteger(Number(value)) ? String(BigInt(Number(value))) : value));
  }
  return { shape, values };
}

function texts(body, kind, size, little) {
  const width = kind === "U" ? 4 * size : size;
  const view = new DataView(body.buffer);
  return Array.from({ length: width ? body.length / width : 0 }, (_, place) => {
    const points = Array.from({ length: size }, (__, at) => (kind === "U" ? view.getUint32(place * width + 4 * at, little) : body[place * width + at]));
    return String.fromCodePoint(...points.filter((point) => point !== 0));
  });
}

function rowMajor(values, shape) {
  const steps = shape.map((_, place) => sizeOf(shape.slice(0, place)));
  return values.map((_, place) => {
    let rest = place;
    let at = 0;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      at += (rest % shape[axis]) * steps[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    return values[at];
  });
}

// -- pictures ----------------------------------------------------------------------------------------------------------

/** Return the media type of a picture by its first bytes, or null. */
export function imageType(bytes) {
  const begins = (text, at = 0) => [...text].every((character, place) => bytes[at + place] === character.charCodeAt(0));
  if (begins("\x89PNG")) return "image/png";
  if (begins("\xff\xd8\xff")) return "image/jpeg";
  if (begins("GIF8")) return "image/gif";
  return begins("RIFF") && begins("WEBP", 8) ? "image/webp" : null;
}

/** Return a picture as rows, columns and colours, or colours first, in the sizes that the model declares. */
async function pixels(blob, input) {
  const { declared, datatype } = input;
  const shape = declared ?? [-1, -1, 3];
  const offset = shape.length - 3;
  const colours = [1, 3, 4];
  const last = colours.includes(shape.at(-1));
  if (offset < 0 || offset > 1 || !(last || colours.includes(shape[offset]))) {
    throw new Error(`A picture is rows, columns and 1, 3 or 4 colours, and the model takes the shape [${(declared ?? []).join(", ")}].`);
  }
  const picture = await createImageBitmap(blob);
  const [rows, columns] = last ? shape.slice(offset) : shape.slice(offset + 1);
  const depth = last ? shape.at(-1) : shape[offset];
  const [height, width] = [rows < 0 ? picture.height : rows, columns < 0 ? picture.width : columns];
  const canvas = new OffscreenCanvas(width, height).getContext("2d");
  canvas.drawImage(picture, 0, 0, width, height);
  const { data } = canvas.getImageData(0, 0, width, height);
  const value = (pixel, colour) => {
    const at = 4 * pixel;
    const level = depth === 1 ? Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]) : data[at + colour];
    return String(isFloat(datatype) ? level / 255 : datatype === "INT8" ? level - 128 : level);
  };
  const count = width * height;
  const values = Array.from({ length: count * depth }, (_, place) =>
    last ? value(Math.floor(place / depth), place % depth) : value(place % count, Math.floor(place / count)),
  );
  const one = last ? [height, width, depth] : [depth, height, width];
  return { shape: offset ? [1, ...one] : one, values };
}
