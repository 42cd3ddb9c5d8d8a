// Elements. Text of servers and models only ever becomes text: nothing here reads HTML.

/** Make an element: attributes, listeners under on…, properties value and checked, then children, of which null is none. */
export function h(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Make a button that keeps a form from being sent. */
export function button(text, onclick, given = {}) {
  return h("button", { type: "button", onclick, ...given }, text);
}

let ids = 0;

/** Return an id that nothing on the page has. */
export function newId() {
  ids += 1;
  return `e${ids}`;
}

/** Make a label above a control. */
export function labelled(text, control, hint = null) {
  control.id ||= newId();
  if (hint !== null) control.setAttribute("aria-describedby", `${control.id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: control.id }, text),
    control,
    hint === null ? null : h("small", { id: `${control.id}-hint` }, hint),
  );
}

/** Make a region that scrolls, also by the keyboard. */
export function scrolling(label, ...children) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, ...children);
}

/** Tell what has happened, also to a screen reader. */
export function say(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => status.replaceChildren(), 6000);
}

let fading;

/** Show an error where it belongs. */
export function failure(error) {
  const rows = [h("strong", {}, error.code ?? "Error"), " ", error.message];
  if (error.requestId) rows.push(h("small", {}, `Request ${error.requestId}, as the server's log has it.`));
  return h("div", { class: "failure", role: "alert" }, ...rows);
}

/** Save bytes or text under a name. */
export function save(name, parts, type = "application/octet-stream") {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
