// Answers: tensors as tables, pictures or text.
import { button, h, save, scrolling } from "./dom.js";
import { imageType } from "./files.js";
import { readJson } from "./server.js";
import { fromBase64, fromBytes, nested, sizeOf } from "./values.js";

const ROWS = 100;
const COLUMNS = 60;
const MOST_TEXT = 20_000;

/** Read a response: its outputs with flat values, and its JSON as text where it has one. */
export async function readAnswer(response) {
  const length = response.headers.get("Inference-Header-Content-Length");
  if (length === null) return readText(await response.text());
  const bytes = new Uint8Array(await response.arrayBuffer());
  const answer = readJson(new TextDecoder().decode(bytes.subarray(0, Number(length))));
  let at = Number(length);
  for (const output of answer.outputs ?? []) {
    const size = output.parameters?.binary_data_size;
    if (size === undefined) continue;
    output.data = fromBytes(output.datatype, bytes.slice(at, at + size));
    output.isBinary = true;
    at += size;
  }
  return { ...answer, text: null };
}

export const readText = (text) => ({ ...readJson(text), text });

/** Show the outputs of an answer. */
export function outputsOf(answer, base64) {
  const outputs = answer.outputs ?? [];
  const size = outputs[0]?.shape[0];
  const isColumn = ({ shape, datatype, data }) =>
    shape[0] === size && (shape.length === 1 || (shape.length === 2 && shape[1] === 1)) && !(datatype === "BYTES" && data.some((value) => value instanceof Uint8Array));
  const octets = outputs.some((output) => base64.has(output.parameters?.content_type));
  if (outputs.length > 1 && size > 1 && !octets && outputs.every(isColumn)) {
    const rows = Array.from({ length: size }, (_, row) => outputs.map((output) => output.data[row]));
    return [h("section", {}, h("h3", {}, "Rows"), table("Rows of the answer", rows, outputs.map((output) => output.name)))];
  }
  return outputs.map((output) =>
    h("section", {}, h("h3", {}, output.name, h("small", {}, `${output.datatype} [${output.shape.join(", ")}]`)), tensor(output, base64)),
  );
}

/** Show one output in the way that suits it. */
function tensor(output, base64) {
  const { shape, datatype, name, parameters = {} } = output;
  const data = output.data.flat(Infinity);
  if (datatype === "BYTES") return texts(output, data, parameters.content_type, base64.has(parameters.content_type) && !output.isBinary);
  if (datatype === "UINT8" && isPicture(shape)) return drawn(name, data, shape);
  if (shape.length === 0 || (shape.length === 1 && data.length === 1)) return h("p", { class: "value" }, cellText(data[0]));
  if (shape.length <= 2 && data.length > 0) {
    const columns = shape[1] ?? 1;
    const rows = Array.from({ length: shape[0] }, (_, row) => data.slice(row * columns, (row + 1) * columns));
    return table(`Values of ${name}`, rows, columns > 1 ? rows[0].map((_, column) => column) : null);
  }
  return scrolling(`Values of ${name}`, h("pre", {}, cut(nested(data, shape, cellText))));
}

const cellText = (value) => (value === null ? "null" : value instanceof Uint8Array ? decoded(value) : String(value));
const cut = (text) => (text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)}\n… ${text.length - MOST_TEXT} more characters` : text);

function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return `${bytes.length} bytes`;
  }
}

/** Show texts, and bytes that are pictures or files. */
function texts({ name, shape }, data, contentType, octets) {
  const values = data.map((value) => (octets && typeof value === "string" ? fromBase64(value) : value));
  const isFile = (value) => value instanceof Uint8Array && (imageType(value) !== null || decoded(value).endsWith(" bytes"));
  if (values.some(isFile)) return h("div", {}, values.map((value, place) => file(`${name}-${place}`, value)));
  if (values.length === 1) return scrolling(`Text of ${name}`, h("pre", { class: "text" }, cut(pretty(cellText(values[0]), contentType))));
  const columns = shape.length === 2 ? shape[1] : 1;
  const rows = Array.from({ length: values.length / columns || 0 }, (_, row) => values.slice(row * columns, (row + 1) * columns));
  return table(`Texts of ${name}`, rows, null);
}

function pretty(text, contentType) {
  if (contentType !== "json") return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Show bytes: a picture as one, drawn rather than linked, because the page's policy allows nothing but the server's own files. */
function file(name, bytes) {
  const type = imageType(bytes);
  const keep = button(`Save ${name} (${bytes.length} bytes)`, () => save(name + (type === null ? "" : `.${type.slice(6)}`), [bytes], type ?? undefined));
  const place = h("figure", {}, keep);
  if (type !== null) {
    createImageBitmap(new Blob([bytes], { type })).then(
      (picture) => {
        const canvas = canvasOf(name, picture.width, picture.height);
        canvas.getContext("2d").drawImage(picture, 0, 0);
        place.prepend(canvas);
      },
      () => place.prepend(h("p", {}, "The picture is broken.")),
    );
  }
  return place;
}

function canvasOf(name, width, height) {
  return h("canvas", { width: String(width), height: String(height), role: "img", "aria-label": `Picture ${name}, ${width} by ${height}` });
}

const isPicture = (shape) => shape.length >= 3 && shape.length <= 4 && (shape.length === 3 || shape[0] === 1) && [1, 3, 4].includes(shape.at(-1)) && shape.at(-2) >= 8 && shape.at(-3) >= 8;

/** Draw rows, columns and colours. */
function drawn(name, data, shape) {
  const [height, width, depth] = shape.slice(-3);
  const levels = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    for (let colour = 0; colour < 4; colour += 1) {
      if (colour < 3 || depth === 4) levels[4 * pixel + colour] = data[pixel * depth + (depth === 1 ? 0 : colour)];
    }
  }
  const canvas = canvasOf(name, width, height);
  canvas.getContext("2d").putImageData(new ImageData(levels, width, height), 0, 0);
  return h("figure", {}, canvas);
}

/** Show rows, the first of them at once and the others when they are asked for. */
function table(label, rows, head) {
  const body = h("tbody");
  const columns = Math.min(COLUMNS, rows[0]?.length ?? 0);
  const row = (cells, place) =>
    h("tr", {}, h("th", { scope: "row" }, place), cells.slice(0, columns).map((value) => h("td", { class: typeof value === "number" || /^-?\d{16,}$/.test(value) ? "number" : null }, cellText(value))), cells.length > columns ? h("td", {}, "…") : null);
  const more = button("", () => grow());
  const grow = () => {
    const from = body.rows.length;
    body.append(...rows.slice(from, from + (from ? 10 * ROWS : ROWS)).map((cells, place) => row(cells, from + place)));
    more.textContent = `Show more: ${body.rows.length} of ${rows.length} rows are here`;
    more.hidden = body.rows.length >= rows.length;
  };
  grow();
  const names = head?.slice(0, columns).map((name) => h("th", { scope: "col" }, name));
  return h("div", {}, scrolling(label, h("table", {}, names ? h("thead", {}, h("tr", {}, h("td", {}), names)) : null, body)), more, sizeOf([rows.length, columns]) ? null : h("p", {}, "No values."));
}

/** Return the text of an answer that has one output of one text, else null. */
export function textOf(answer) {
  const outputs = answer.outputs ?? [];
  return outputs.length === 1 && outputs[0].datatype === "BYTES" && outputs[0].data.length === 1 && typeof outputs[0].data[0] === "string" ? outputs[0].data[0] : null;
}
