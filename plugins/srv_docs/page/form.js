// The form of a model: an editor for each input, or one table for inputs that are its columns.
import { button, h, labelled, newId, say, scrolling } from "./dom.js";
import { columnsOf, readCsv, readFile } from "./files.js";
import { DATATYPES, isFloat, nested, readNested, sizeOf, takes, toBytes, token } from "./values.js";

const MOST_CELLS = 400;
const MOST_COLUMNS = 40;
const MOST_TEXT = 20_000;

/** A value that cannot be sent, and the control that has it. */
export class Unfit extends Error {
  constructor(message, control) {
    super(message);
    this.control = control;
  }
}

const shown = (shape) => `[${(shape ?? ["any"]).map((length) => (length < 0 ? "any" : length)).join(", ")}]`;
const typed = (value) => (value === null ? "null" : value instanceof Uint8Array ? "" : String(value));

/** The inputs of a request, as they are edited. */
export class Form {
  constructor({ specs, request, base64 }) {
    this.base64 = new Set(base64);
    this.declares = specs.length > 0;
    this.inputs = this.declares ? specs.map((spec) => this.input(spec, request)) : [];
    if (!this.declares) for (const tensor of request.inputs ?? []) this.inputs.push(this.input({ ...tensor, shape: null }, request));
    this.parameters = h("textarea", {
      rows: "2",
      spellcheck: "false",
      value: request.parameters ? JSON.stringify(request.parameters) : "",
    });
    this.element = h("div", { class: "inputs" });
    this.render();
  }

  input(spec, request) {
    const given = request.inputs ?? [];
    const tensor = given.find((each) => each.name === spec.name) ?? (given.length === 1 && this.inputs === undefined ? given[0] : undefined);
    const parameters = { ...tensor?.parameters };
    delete parameters.binary_data_size;
    const contentType = parameters.content_type ?? spec.content_type;
    const read = tensor?.data ? readNested(JSON.stringify(tensor.data)) : { values: [] };
    return {
      name: spec.name,
      datatype: spec.datatype || tensor?.datatype || "FP64",
      fixed: Boolean(spec.datatype) && this.declares,
      declared: spec.shape ?? null,
      contentType,
      octets: this.base64.has(contentType),
      shape: tensor?.shape ?? [0],
      values: read.values,
      parameters,
      sent: tensor !== undefined,
    };
  }

  /** Take the values of another form, as far as the inputs are the same. */
  take(other) {
    for (const input of this.inputs) {
      const same = other.inputs.find(({ name, datatype }) => name === input.name && datatype === input.datatype);
      if (same) Object.assign(input, { values: same.values, shape: same.shape, sent: same.sent });
    }
    this.parameters.value = other.parameters.value;
    this.render();
  }

  // -- what stands there -----------------------------------------------------------------------------------------------

  /** Whether the inputs are columns of a table: each has a value for each row. */
  get isTable() {
    const size = this.inputs[0]?.values.length;
    const isColumn = ({ shape, declared, values, octets, sent, contentType }) =>
      sent && !octets && contentType !== "json" && values.length === size && shape[0] === size && (shape.length === 1 || (shape.length === 2 && shape[1] === 1)) &&
      (declared === null || declared[0] === -1);
    return this.inputs.length > 1 && size > 0 && size * this.inputs.length <= MOST_CELLS && this.inputs.every(isColumn) && !this.apart;
  }

  render() {
    const rows = this.isTable ? [this.table()] : this.inputs.map((input) => this.editor(input));
    if (!this.declares) rows.push(h("p", {}, "This model does not say which inputs it takes. ", button("Add an input", () => this.addInput())));
    this.element.replaceChildren(...rows);
  }

  addInput() {
    this.inputs.push(this.input({ name: `input_${this.inputs.length}`, datatype: null, shape: null }, { inputs: [{ name: `input_${this.inputs.length}`, shape: [1], data: ["1"] }] }));
    this.render();
    this.inputs.at(-1).first?.focus();
  }

  /** One value, as a control of its datatype. */
  cell(input, place, label) {
    const given = {
      "aria-label": label,
      value: typed(input.values[place]),
      oninput: (event) => {
        input.values[place] = input.datatype !== "BYTES" && event.target.value.trim() === "null" ? null : event.target.value;
        event.target.removeAttribute("aria-invalid");
        input.note.textContent = "";
      },
    };
    let control;
    if (input.datatype === "BOOL") {
      control = h("select", given, h("option", {}, "true"), h("option", {}, "false"));
      control.value = typed(input.values[place]);
    } else if (input.datatype === "BYTES" && (input.values.length === 1 || input.contentType === "json")) {
      control = h("textarea", { rows: "3", ...given });
    } else {
      control = h("input", { type: "text", inputmode: input.datatype === "BYTES" ? "text" : "decimal", autocomplete: "off", ...given });
    }
    input.cells[place] = control;
    input.first ??= control;
    return control;
  }

  /** All inputs as one table, a row for each value. */
  table() {
    for (const input of this.inputs) Object.assign(input, { cells: [], first: null, broken: null, note: h("p", { class: "note" }) });
    const size = this.inputs[0].values.length;
    const head = this.inputs.map(({ name, datatype }) => h("th", { scope: "col" }, name, h("small", {}, datatype)));
    const rows = Array.from({ length: size }, (_, row) =>
      h("tr", {}, h("th", { scope: "row" }, row), this.inputs.map((input) => h("td", {}, this.cell(input, row, `${input.name}, row ${row}`)))),
    );
    return h(
      "fieldset",
      {},
      h("legend", {}, "Rows"),
      scrolling("Rows to send", h("table", {}, h("thead", {}, h("tr", {}, h("td", {}), head)), h("tbody", {}, rows))),
      this.inputs.map((input) => input.note),
      h(
        "div",
        { class: "row" },
        button("Add a row", () => this.resize(size + 1)),
        size > 1 ? button("Remove the last row", () => this.resize(size - 1)) : null,
        this.picker("CSV file", ".csv,.tsv,.txt,text/csv", (file) => this.fromCsv(file)),
        button("Each input on its own", () => {
          this.apart = true;
          this.render();
        }),
      ),
    );
  }

  /** Give each input that many rows. */
  resize(size, inputs = this.inputs) {
    for (const input of inputs) {
      const below = sizeOf(input.shape.slice(1));
      const last = input.values.slice(-below || undefined);
      while (input.values.length < size * below) input.values.push(...last);
      input.values.length = size * below;
      input.shape = [size, ...input.shape.slice(1)];
    }
    this.render();
    inputs[0].cells?.[(size - 1) * sizeOf(inputs[0].shape.slice(1))]?.focus();
  }

  async fromCsv(file) {
    const columns = columnsOf(readCsv(await file.text()), this.inputs.map((input) => input.name));
    this.inputs.forEach((input, place) => {
      const values = columns[place].map((value) => (value === "" && isFloat(input.datatype) ? null : value));
      values.forEach((value, row) => {
        try {
          token(input.datatype, value);
        } catch (error) {
          throw new Error(`Column '${input.name}', row ${row}: ${error.message}`);
        }
      });
      columns[place] = values;
    });
    this.inputs.forEach((input, place) => Object.assign(input, { values: columns[place], shape: [columns[place].length, ...input.shape.slice(1)] }));
    this.render();
    say(`${columns[0].length} rows of ${file.name} are in the form.`);
  }

  /** A button that takes a file. */
  picker(label, accept, take) {
    const control = h("input", {
      type: "file",
      accept,
      id: newId(),
      onchange: async () => {
        const [file] = control.files;
        if (!file) return;
        problem.textContent = "";
        try {
          await take(file);
        } catch (error) {
          problem.textContent = error.message;
          say(error.message);
        }
        control.value = "";
      },
    });
    const problem = h("span", { class: "note" });
    return h("span", { class: "file" }, h("label", { for: control.id }, label), control, problem);
  }

  /** One input: its values as fields, as JSON, or what a file gave. */
  editor(input) {
    Object.assign(input, { cells: [], first: null, note: h("p", { class: "note" }) });
    const kinds = [input.datatype, shown(input.declared), input.contentType && input.contentType !== "np" ? input.contentType : null];
    const editor = h("fieldset", {}, h("legend", {}, input.name || "Input", h("small", {}, kinds.filter(Boolean).join(" "))));
    if (this.inputs.length > 1) {
      const toggle = (event) => {
        input.sent = event.target.checked;
        if (input.sent && input.values.length === 0) Object.assign(input, { shape: [1], values: [input.datatype === "BYTES" ? "" : "1"] });
        this.render();
      };
      editor.append(h("label", { class: "check" }, h("input", { type: "checkbox", checked: input.sent, onchange: toggle }), ` Send ${input.name}`));
    }
    if (!input.sent) return editor;
    editor.append(h("div", { class: "row" }, this.naming(input), this.shaping(input)), this.values(input), input.note);
    const isFields = this.isFields(input);
    const file = this.picker("File", ".npy,.csv,.txt,.json,image/*,*/*", async (chosen) => {
      Object.assign(input, await readFile(chosen, input), { broken: null });
      this.render();
      say(`${chosen.name} is in the form: ${input.name} has the shape ${shown(input.shape)}.`);
    });
    const open = input.declared === null || input.declared[0] === -1;
    editor.append(
      h(
        "div",
        { class: "row" },
        isFields && open && input.shape.length ? button("Add a row", () => this.resize(input.shape[0] + 1, [input])) : null,
        isFields && open && input.shape[0] > 1 ? button("Remove the last row", () => this.resize(input.shape[0] - 1, [input])) : null,
        isFields || input.asJson ? button(input.asJson ? "Edit as fields" : "Edit as JSON", () => this.switchView(input)) : null,
        file,
      ),
    );
    return editor;
  }

  isFields({ shape, values, asJson }) {
    return !asJson && values.length > 0 && shape.length <= 2 && values.length <= MOST_CELLS && (shape[1] ?? 1) <= MOST_COLUMNS && !values.some((value) => value instanceof Uint8Array);
  }

  switchView(input) {
    if (input.broken) {
      input.note.textContent = input.broken;
      input.first?.focus();
      return;
    }
    input.asJson = !input.asJson;
    this.render();
    input.first?.focus();
  }

  naming(input) {
    const rows = [];
    if (!this.declares) rows.push(labelled("Name", h("input", { type: "text", value: input.name, onchange: (event) => (input.name = event.target.value) })));
    if (!input.fixed) {
      const change = (event) => {
        input.datatype = event.target.value;
        this.render();
      };
      const select = h("select", { onchange: change }, DATATYPES.map((name) => h("option", {}, name)));
      select.value = input.datatype;
      rows.push(labelled("Datatype", select));
    }
    return rows;
  }

  shaping(input) {
    const change = (event) => {
      const lengths = event.target.value.split(/[\s,x×[\]]+/).filter(Boolean).map(Number);
      const size = sizeOf(lengths);
      if (lengths.some((length) => !Number.isInteger(length) || length < 0) || size > MOST_TEXT) {
        input.note.textContent = `A shape is lengths such as 2, 4, for at most ${MOST_TEXT} values; a file may have more.`;
        event.target.setAttribute("aria-invalid", "true");
        return;
      }
      const values = Array.from({ length: size }, (_, place) => input.values[place] ?? input.values.at(-1) ?? (input.datatype === "BYTES" ? "" : "0"));
      Object.assign(input, { shape: lengths, values });
      this.render();
    };
    return labelled("Shape", h("input", { type: "text", class: "short", value: input.shape.join(", "), onchange: change, "aria-label": `Shape of ${input.name}` }));
  }

  values(input) {
    const { shape, values, name } = input;
    if (this.isFields(input)) {
      if (values.length === 1) return this.cell(input, 0, `${name}, ${takes(input.datatype)}`);
      const columns = shape[1] ?? 1;
      const head = Array.from({ length: columns }, (_, column) => h("th", { scope: "col" }, column));
      const rows = Array.from({ length: shape[0] }, (_, row) =>
        h("tr", {}, h("th", { scope: "row" }, row), head.map((__, column) => h("td", {}, this.cell(input, row * columns + column, `${name}, row ${row}${columns > 1 ? `, column ${column}` : ""}`)))),
      );
      return scrolling(`Values of ${name}`, h("table", {}, columns > 1 ? h("thead", {}, h("tr", {}, h("td", {}), head)) : null, h("tbody", {}, rows)));
    }
    if (values.some((value) => value instanceof Uint8Array)) return h("p", {}, `${values.reduce((size, value) => size + value.length, 0)} bytes of a file.`);
    if (values.length > MOST_TEXT) return h("p", {}, `${values.length} values of a file, beginning with ${values.slice(0, 6).join(", ")}.`);
    if (values.length === 0 && sizeOf(shape) > 0) return h("p", {}, "Too many values to make up. Choose a file.");
    const area = h("textarea", {
      rows: String(Math.min(12, 2 + values.length / 8)),
      spellcheck: "false",
      "aria-label": `${name} as JSON`,
      value: nested(values, shape, (value) => (input.datatype === "BYTES" ? JSON.stringify(value) : typed(value))),
      oninput: () => this.readArea(input, area),
    });
    input.first = area;
    return area;
  }

  readArea(input, area) {
    area.removeAttribute("aria-invalid");
    input.note.textContent = "";
    input.broken = null;
    try {
      const read = readNested(area.value);
      const keeps = read.shape.length === 1 && sizeOf(input.shape) === read.values.length;
      Object.assign(input, { values: read.values, shape: keeps ? input.shape : read.shape });
    } catch (error) {
      input.broken = error instanceof SyntaxError ? "A text in it is not valid JSON." : error.message;
    }
  }

  // -- what is sent ----------------------------------------------------------------------------------------------------

  /** Return the request: its JSON, bytes behind it where `binary` says so or a value needs it, and its tensors. Throws Unfit. */
  read(binary) {
    const tensors = this.inputs.filter((input) => input.sent).map((input) => this.tensor(input));
    const isBinary = binary || tensors.some(({ datatype, values }) => datatype === "BF16" || values.some((value) => value instanceof Uint8Array));
    const behind = [];
    const inputs = tensors.map((tensor) => {
      const { name, datatype, shape, values, octets } = tensor;
      const parameters = { ...tensor.parameters };
      let data = "";
      if (isBinary) {
        const bytes = toBytes(datatype, values, octets);
        behind.push(bytes);
        parameters.binary_data_size = bytes.length;
      } else data = `, "data": ${shape.length ? nested(values, shape, (value) => token(datatype, value)) : `[${token(datatype, values[0])}]`}`;
      const said = Object.keys(parameters).length ? `, "parameters": ${JSON.stringify(parameters)}` : "";
      return `{"name": ${JSON.stringify(name)}, "datatype": "${datatype}", "shape": [${shape.join(", ")}]${said}${data}}`;
    });
    const parameters = this.readParameters();
    const all = isBinary ? { ...parameters, binary_data_output: true } : parameters;
    const end = all === null ? "" : `, "parameters": ${JSON.stringify(all)}`;
    return { text: `{"inputs": [${inputs.join(", ")}]${end}}`, behind, isBinary, tensors, parameters };
  }

  tensor(input) {
    if (input.broken) throw this.unfit(input, input.broken, input.first);
    if (input.values.length !== sizeOf(input.shape)) {
      throw this.unfit(input, `${input.name} has ${input.values.length} values, and its shape ${shown(input.shape)} has ${sizeOf(input.shape)}.`, input.first);
    }
    input.values.forEach((value, place) => {
      if (value instanceof Uint8Array) return;
      try {
        token(input.datatype, value);
      } catch (error) {
        throw this.unfit(input, `${input.name}: ${error.message}`, input.cells[place] ?? input.first);
      }
    });
    return input;
  }

  unfit(input, message, control) {
    input.note.textContent = message;
    control?.setAttribute("aria-invalid", "true");
    return new Unfit(message, control);
  }

  readParameters() {
    const text = this.parameters.value.trim();
    if (text === "") return null;
    try {
      const read = JSON.parse(text);
      if (typeof read === "object" && read !== null && !Array.isArray(read)) return read;
    } catch {
      // It is told below.
    }
    throw new Unfit('Parameters are a JSON object, such as {"temperature": 0.5}.', this.parameters);
  }
}
