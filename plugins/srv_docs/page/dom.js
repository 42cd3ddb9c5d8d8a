// Elements. Text of servers and models only ever becomes text: nothing here reads HTML.

// Make an element: attributes, on… for listeners, value and checked as properties; then children, of which null is none.
export function h(tag, ...rest) {
	const made = document.createElement(tag);
	const isGiven = rest[0] && Object.getPrototypeOf(rest[0]) === Object.prototype;
	for (const [name, value] of Object.entries(isGiven ? rest.shift() : {})) {
		if (typeof value === "function") made.addEventListener(name.slice(2), value);
		else if (name === "value" || name === "checked") made[name] = value;
		else if (value !== null && value !== false) made.setAttribute(name, value);
	}
	made.append(...rest.flat().filter((child) => child !== null));
	return made;
}

export const button = (text, onclick, given) => h("button", { type: "button", onclick, ...given }, text);

let ids = 0;

// Put a label before a control, or behind one that is checked, and a hint below.
export function labelled(text, control, hint) {
	control.id = `e${(ids += 1)}`;
	const label = h("label", { for: control.id }, text);
	if (/checkbox|radio/.test(control.type)) return h("div", control, " ", label);
	if (hint) control.setAttribute("aria-describedby", `${control.id}-hint`);
	return h("div", { class: "field" }, label, control, hint ? h("small", { id: `${control.id}-hint` }, hint) : null);
}

export const row = (...children) => h("div", { class: "row" }, ...children);
export const details = (title, ...children) => h("details", h("summary", title), ...children);

export const scrolling = (label, ...children) =>
	h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, ...children);

// Make a table's row: its first cell is its head.
export const tr = (first, cells) => h("tr", h("th", { scope: "row" }, first), cells.map((cell) => h("td", cell)));

// Make a table of rows, with the names of its columns where they have some.
export const table = (names, rows, given = {}) =>
	h("table", given, names && h("thead", h("tr", h("td"), names.map((name) => h("th", { scope: "col" }, name)))), h("tbody", rows));

let fading;

// Tell what has happened, also to a screen reader.
export function say(text) {
	const status = document.getElementById("status");
	status.textContent = text;
	clearTimeout(fading);
	fading = setTimeout(() => status.replaceChildren(), 6000);
}

export const failure = ({ code = "Error", message, requestId }) =>
	h("div", { class: "failure", role: "alert" }, h("strong", code), ` ${message}`, requestId ? h("small", `Request ${requestId}, as the server's log has it.`) : null);

// Ask in a dialog; true where the answer is yes.
export function confirmed(title, yes, ...content) {
	return new Promise((answer) => {
		const close = () => {
			dialog.remove();
			answer(dialog.returnValue === "yes");
		};
		const buttons = row(h("button", { value: "yes" }, yes), button("Cancel", () => dialog.close()));
		const dialog = h("dialog", { "aria-labelledby": "dialog", onclose: close }, h("form", { method: "dialog" }, h("h2", { id: "dialog" }, title), content, buttons));
		document.body.append(dialog);
		dialog.showModal();
	});
}

export function save(name, parts, type = "application/octet-stream") {
	const address = URL.createObjectURL(new Blob(parts, { type }));
	h("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 9999);
}
