// The form of a model: an editor for each input, or one table for inputs that are its columns.
import { button, h, labelled, row, say, scrolling, table, tr } from "./dom.js";
import { columnsOf, readCsv, readFile, shown } from "./files.js";
import { DATATYPES, isOctets, nested, readNested, sizeOf, takes, toBlob, token } from "./values.js";

const MOST_CELLS = 400;
const MOST_TEXT = 20_000;

// A value that cannot be sent, and the control that has it.
export class Unfit extends Error {
	constructor(message, control) {
		super(message);
		this.control = control;
		control?.setAttribute("aria-invalid", "true");
	}
}

const typed = (value) => (isOctets(value) ? "" : String(value));

export class Form {
	constructor(specs, request, base64) {
		const given = request.inputs ?? [];
		this.isOpen = specs.length === 0;
		this.inputs = (this.isOpen ? given.map(({ name }) => ({ name })) : specs).map((spec) => {
			const tensor = given.find((each) => each.name === spec.name) ?? (specs.length === 1 ? given[0] : undefined);
			const { binary_data_size, ...parameters } = tensor?.parameters ?? {};
			const contentType = parameters.content_type ?? spec.content_type;
			return {
				name: spec.name, parameters, contentType, octets: base64.has(contentType), isSent: tensor !== undefined,
				datatype: spec.datatype || tensor?.datatype || "FP64", isFixed: Boolean(spec.datatype), declared: spec.shape ?? null,
				shape: tensor?.shape ?? [0], values: tensor?.data ? readNested(JSON.stringify(tensor.data)).values : [],
			};
		});
		this.parameters = h("textarea", { rows: 2, spellcheck: "false", value: request.parameters ? JSON.stringify(request.parameters) : "" });
		this.element = h("div");
		this.render();
	}

	// Take the values of another form, as far as the inputs are the same.
	take(other) {
		for (const input of this.inputs) {
			const same = other.inputs.find(({ name, datatype }) => name === input.name && datatype === input.datatype);
			if (same) Object.assign(input, { values: same.values, shape: same.shape, isSent: same.isSent });
		}
		this.parameters.value = other.parameters.value;
		this.render();
	}

	// Whether the inputs are columns of a table: each has a value for each row.
	get isTable() {
		const size = this.inputs[0]?.values.length;
		const isColumn = ({ shape, declared, values, octets, isSent, contentType }) =>
			isSent && !octets && contentType !== "json" && values.length === size && shape[0] === size && (declared ?? [-1])[0] === -1;
		return !this.apart && this.inputs.length > 1 && size > 0 && this.inputs.every(isColumn);
	}

	render(change) {
		change?.();
		for (const input of this.inputs) Object.assign(input, { cells: [], note: h("p", { class: "note", role: "alert" }) });
		const add = () => {
			const name = `input_${this.inputs.length}`;
			this.inputs.push({ name, parameters: {}, octets: false, isSent: true, datatype: "FP64", isFixed: false, declared: null, shape: [1], values: ["1"] });
			this.render();
		};
		const open = h("p", "This model does not say which inputs it takes. ", button("Add an input", add));
		this.element.replaceChildren(...(this.isTable ? [this.table()] : this.inputs.map((input) => this.editor(input))), ...(this.isOpen ? [open] : []));
	}

	cell(input, place, label) {
		const { datatype, values } = input;
		const oninput = ({ target }) => {
			values[place] = datatype !== "BYTES" && target.value.trim() === "null" ? null : target.value;
			target.removeAttribute("aria-invalid");
			input.note.textContent = "";
		};
		const given = { "aria-label": label, oninput };
		const isLong = datatype === "BYTES" && (values.length === 1 || input.contentType === "json");
		const control =
			datatype === "BOOL" ? h("select", given, h("option", "true"), h("option", "false"))
			: isLong ? h("textarea", { rows: 3, ...given })
			: h("input", { inputmode: datatype === "BYTES" ? "text" : "decimal", autocomplete: "off", ...given });
		control.value = typed(values[place]);
		input.cells[place] = control;
		return control;
	}

	table() {
		const size = this.inputs[0].values.length;
		const names = this.inputs.map(({ name, datatype }) => h("span", name, h("small", datatype)));
		const isLong = size * this.inputs.length > MOST_CELLS;
		const rows = Array.from({ length: isLong ? 0 : size }, (_, place) => tr(place, this.inputs.map((input) => this.cell(input, place, `${input.name}, row ${place}`))));
		const fromCsv = async (file) => {
			const columns = columnsOf(readCsv(await file.text()), this.inputs);
			this.inputs.forEach((input, place) => Object.assign(input, { values: columns[place], shape: [columns[place].length, ...input.shape.slice(1)] }));
		};
		return h("fieldset", h("legend", "Rows"), isLong ? h("p", `${size} rows of a file.`) : scrolling("Rows to send", table(names, rows)), this.inputs.map((input) => input.note),
			row(isLong ? null : this.rowButtons(this.inputs, size), this.picker("CSV file", ".csv,.tsv,.txt", fromCsv), button("Each input on its own", () => this.render(() => (this.apart = true)))));
	}

	// Buttons that add a row to inputs, and take one away.
	rowButtons(inputs, size) {
		const resize = (to) => {
			for (const input of inputs) {
				const below = sizeOf(input.shape.slice(1));
				const last = input.values.slice(-below);
				if (to > size) input.values.push(...last);
				input.values.length = to * below;
				input.shape = [to, ...input.shape.slice(1)];
			}
			this.render();
			inputs[0].cells[(to - 1) * sizeOf(inputs[0].shape.slice(1))]?.focus();
		};
		return [button("Add a row", () => resize(size + 1)), size > 1 ? button("Remove the last row", () => resize(size - 1)) : null];
	}

	picker(label, accept, take) {
		const note = h("span", { class: "note", role: "alert" });
		const onchange = async ({ target }) => {
			const [file] = target.files;
			try {
				if (file) await take(file);
				this.render();
				say(`${file?.name} is in the form.`);
			} catch (error) {
				note.textContent = error.message;
			}
			target.value = "";
		};
		return h("div", { class: "file" }, labelled(label, h("input", { type: "file", accept, onchange })), note);
	}

	// One input: its values as fields, as JSON, or what a file gave.
	editor(input) {
		const { name, datatype, declared, contentType, shape, isSent, asJson } = input;
		const kinds = `${datatype} ${shown(declared)} ${contentType && contentType !== "np" ? contentType : ""}`;
		const editor = h("fieldset", h("legend", name, h("small", kinds)));
		const toggle = () => this.render(() => {
			input.isSent = !isSent;
			if (input.values.length === 0) Object.assign(input, { shape: (declared ?? [1]).map(() => 1), values: [datatype === "BYTES" ? "" : "1"] });
		});
		if (this.inputs.length > 1) editor.append(labelled(`Send ${name}`, h("input", { type: "checkbox", checked: isSent, onchange: toggle })));
		if (!isSent) return editor;
		const isFields = !asJson && input.values.length > 0 && shape.length < 3 && input.values.length <= MOST_CELLS && !input.values.some(isOctets);
		const turn = () => (input.broken ? (input.note.textContent = input.broken) : this.render(() => (input.asJson = !asJson)));
		const hasRows = isFields && shape.length && (declared ?? [-1])[0] === -1;
		editor.append(
			row(this.naming(input), this.shaping(input)), this.values(input, isFields), input.note,
			row(hasRows ? this.rowButtons([input], shape[0]) : null, isFields || asJson ? button(asJson ? "Edit as fields" : "Edit as JSON", turn) : null,
				this.picker("File", "", async (file) => Object.assign(input, await readFile(file, input), { broken: null }))),
		);
		return editor;
	}

	naming(input) {
		const select = h("select", { onchange: () => this.render(() => (input.datatype = select.value)) }, DATATYPES.map((each) => h("option", each)));
		select.value = input.datatype;
		const name = h("input", { value: input.name, onchange: () => (input.name = name.value) });
		return [this.isOpen ? labelled("Name", name) : null, input.isFixed ? null : labelled("Datatype", select)];
	}

	shaping(input) {
		const onchange = ({ target }) => {
			const shape = target.value.split(/[^\w.-]+/).filter(Boolean).map(Number);
			const size = sizeOf(shape);
			if (shape.some((length) => !(Number.isInteger(length) && length >= 0)) || size > MOST_TEXT) {
				target.setAttribute("aria-invalid", "true");
				input.note.textContent = `A shape is lengths such as 2, 4, of at most ${MOST_TEXT} values.`;
				return;
			}
			const values = Array.from({ length: size }, (_, place) => input.values[place] ?? input.values.at(-1) ?? "0");
			this.render(() => Object.assign(input, { shape, values }));
		};
		return labelled("Shape", h("input", { class: "short", value: input.shape.join(", "), onchange, "aria-label": `Shape of ${input.name}` }));
	}

	values(input, isFields) {
		const { shape, values, name, datatype } = input;
		if (isFields) {
			if (values.length === 1) return this.cell(input, 0, `${name}, ${takes(datatype)}`);
			const columns = shape[1] ?? 1;
			const names = columns > 1 ? Array.from({ length: columns }, (_, column) => column) : null;
			const cells = (place) => (names ?? [0]).map((column) => this.cell(input, place * columns + column, `${name}, row ${place}${names ? `, column ${column}` : ""}`));
			return scrolling(`Values of ${name}`, table(names, Array.from({ length: shape[0] }, (_, place) => tr(place, cells(place)))));
		}
		if (values.some(isOctets)) return h("p", `${values[0].length} bytes of a file.`);
		if (values.length > MOST_TEXT) return h("p", `${values.length} values of a file, beginning with ${values.slice(0, 6).join(", ")}.`);
		if (values.length === 0 && sizeOf(shape)) return h("p", "Too many values to make up. Choose a file.");
		const oninput = () => {
			area.removeAttribute("aria-invalid");
			[input.note.textContent, input.broken] = ["", null];
			try {
				const read = readNested(area.value);
				Object.assign(input, read, { shape: read.shape.length === 1 && sizeOf(input.shape) === read.values.length ? input.shape : read.shape });
			} catch (error) {
				input.broken = error instanceof SyntaxError ? "A text in it is not valid JSON." : error.message;
			}
		};
		const leaf = (value) => (datatype === "BYTES" ? JSON.stringify(value) : typed(value));
		const area = h("textarea", { rows: 8, spellcheck: "false", "aria-label": `${name} as JSON`, value: nested(values, shape, leaf), oninput });
		input.cells = [area];
		return area;
	}

	// Return the request, in the binary form where `binary` says so or a value needs it. Throws Unfit.
	read(binary) {
		const tensors = this.inputs.filter((input) => input.isSent);
		tensors.forEach(check);
		const isBinary = binary || tensors.some(({ datatype, values }) => datatype === "BF16" || values.some(isOctets));
		const behind = [];
		const inputs = tensors.map(({ name, datatype, shape, values, octets, parameters }) => {
			const said = { ...parameters };
			if (isBinary) said.binary_data_size = behind[behind.push(toBlob(datatype, values, octets)) - 1].size;
			const data = nested(values, shape.length ? shape : [1], (value) => token(datatype, value));
			return `{"name": ${JSON.stringify(name)}, "datatype": "${datatype}", "shape": [${shape.join(", ")}]${withParameters(said)}${isBinary ? "" : `, "data": ${data}`}}`;
		});
		const parameters = this.readParameters();
		const text = `{"inputs": [${inputs.join(", ")}]${withParameters(isBinary ? { ...parameters, binary_data_output: true } : parameters)}}`;
		return { text, behind, isBinary, tensors, parameters, file: `request.${isBinary ? "bin" : "json"}` };
	}

	readParameters() {
		try {
			const read = JSON.parse(this.parameters.value || "null");
			if (read === null || Object.getPrototypeOf(read) === Object.prototype) return read;
		} catch {
			// It is told below.
		}
		throw new Unfit('Parameters are a JSON object, such as {"temperature": 0.5}.', this.parameters);
	}
}

const withParameters = (parameters) => (Object.keys(parameters ?? {}).length ? `, "parameters": ${JSON.stringify(parameters)}` : "");

function check({ broken, values, shape, name, datatype, cells, note }) {
	const unfit = (message, control) => {
		note.textContent = message;
		throw new Unfit(message, control ?? cells[0]);
	};
	if (broken) unfit(broken);
	if (values.length !== sizeOf(shape)) unfit(`${name} has ${values.length} values, and its shape ${shown(shape)} has ${sizeOf(shape)}.`);
	values.forEach((value, place) => {
		try {
			if (!isOctets(value)) token(datatype, value);
		} catch (error) {
			unfit(`${name}: ${error.message}`, cells[place]);
		}
	});
}
