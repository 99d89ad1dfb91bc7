// Makes the page livelier; everything that matters is there without it.
"use strict";
document.documentElement.classList.add("js");
const data = JSON.parse(document.getElementById("data").textContent);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const make = (name, text = "") => Object.assign(document.createElement(name), { textContent: text });

// ── Tips: what browsers show of an SVG's <title> comes late and looks foreign ──
const tip = document.getElementById("tip");
const tips = new WeakMap();
for (const title of all("svg title")) {
  tips.set(title.parentNode, title.textContent);
  title.parentNode.setAttribute("aria-label", title.textContent);
  title.remove();
}
function tipOf(element) {
  while (element && !tips.has(element)) element = element.parentElement;
  return element ? tips.get(element) : null;
}
document.addEventListener("pointermove", (event) => {
  const text = event.pointerType === "mouse" && !event.buttons ? tipOf(event.target) : null;
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const { width, height } = tip.getBoundingClientRect();
  const x = Math.min(event.clientX + 14, innerWidth - width - 8);
  const below = event.clientY + 18;
  const y = below + height > innerHeight ? event.clientY - height - 10 : below;
  tip.style.translate = `${Math.max(8, x)}px ${y}px`;
  tip.style.left = tip.style.top = "0";
});

// ── Graphs: zoom, drag, edges of the box under the pointer ──
const edges = new Map();
for (const path of all("path[data-edge]"))
  for (const id of path.dataset.edge.split(" ")) edges.set(id, [...(edges.get(id) ?? []), path]);
const mark = (id, on) => (edges.get(id) ?? []).forEach((path) => path.classList.toggle("near", on));

function zoom(view, scale) {
  const svg = view.firstElementChild;
  const box = svg.viewBox.baseVal;
  const old = svg.clientWidth / box.width;
  const factor = Math.min(2, Math.max(0.1, scale));
  const middle = [view.scrollLeft + view.clientWidth / 2, view.scrollTop + view.clientHeight / 2];
  svg.setAttribute("width", box.width * factor);
  svg.setAttribute("height", box.height * factor);
  view.scrollLeft = (middle[0] * factor) / old - view.clientWidth / 2;
  view.scrollTop = (middle[1] * factor) / old - view.clientHeight / 2;
}
const scaleOf = (view) => view.firstElementChild.clientWidth / view.firstElementChild.viewBox.baseVal.width;
const fitting = (view) => (view.clientWidth - 4) / view.firstElementChild.viewBox.baseVal.width;

for (const view of all(".viewport")) {
  zoom(view, Math.min(1, Math.max(0.75, fitting(view))));
  view.scrollTop = 0;
  const first = view.querySelector(".node").getBoundingClientRect();
  view.scrollLeft += first.left + first.width / 2 - view.getBoundingClientRect().left - view.clientWidth / 2;
  let held = null;
  view.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button) return;
    held = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop, moved: 0 };
  });
  view.addEventListener("dragstart", (event) => event.preventDefault());
  addEventListener("pointermove", (event) => {
    if (!held) return;
    const [x, y] = [held.x - event.clientX, held.y - event.clientY];
    held.moved += Math.abs(x - view.scrollLeft) + Math.abs(y - view.scrollTop);
    if (held.moved < 5) return;
    view.classList.add("held");
    [view.scrollLeft, view.scrollTop] = [x, y];
  });
  addEventListener("pointerup", () => {
    held = null;
    setTimeout(() => view.classList.remove("held"));
  });
  view.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(view, scaleOf(view) * Math.exp(-event.deltaY / 300));
  }, { passive: false });
  for (const node of all(".node", view)) {
    node.addEventListener("pointerenter", () => mark(node.id, true));
    node.addEventListener("pointerleave", () => mark(node.id, node.classList.contains("chosen")));
    if (!node.closest("a")) node.setAttribute("tabindex", "0");
  }
}
for (const button of all("[data-zoom]")) button.addEventListener("click", () => {
  const view = document.querySelector(`[data-graph="${button.dataset.of}"]`);
  const ways = { in: scaleOf(view) * 1.3, out: scaleOf(view) / 1.3, fit: fitting(view) };
  zoom(view, ways[button.dataset.zoom]);
});

// ── The inspector: all about one box, and its counterparts in the other graph ──
const inspector = document.getElementById("inspector");
const about = (id) => data[id.split("-")[0]][Number(id.split("-")[1])];

function reveal(id) {
  const node = document.getElementById(id);
  const view = node.closest(".viewport");
  const [at, frame] = [node.getBoundingClientRect(), view.getBoundingClientRect()];
  if (at.top >= frame.top && at.bottom <= frame.bottom && at.left >= frame.left && at.right <= frame.right) return;
  view.scrollTop += (at.top + at.bottom - frame.top - frame.bottom) / 2;
  view.scrollLeft += (at.left + at.right - frame.left - frame.right) / 2;
}
function leave() {
  inspector.hidden = true;
  for (const node of all(".node.chosen, .node.match")) {
    node.classList.remove("chosen", "match");
    mark(node.id, false);
  }
}
function choose(id) {
  leave();
  document.getElementById(id).classList.add("chosen");
  mark(id, true);
  const own = about(id);
  describe(own); // makes room for itself, so it comes first
  reveal(id);
  const [name] = id.split("-");
  const wanted = new Set(own.sources);
  for (const [other, boxes] of Object.entries(data)) {
    if (other === name) continue;
    const found = boxes.flatMap((box, n) => (box.sources.some((s) => wanted.has(s)) ? [`${other}-${n}`] : []));
    found.forEach((each) => document.getElementById(each).classList.add("match"));
    if (found.length) reveal(found[0]);
  }
}
function describe(own) {
  const list = make("dl");
  list.className = "facts";
  const sources = own.sources.length ? [["covers", own.sources.join(", ")]] : [];
  for (const [key, text] of [["name", own.name], ["type", own.type], ...own.facts, ...sources])
    list.append(make("dt", key), make("dd", text));
  const close = make("button", "×");
  close.className = "close";
  close.setAttribute("aria-label", "close");
  close.addEventListener("click", leave);
  inspector.replaceChildren(make("h3", own.label), close, list);
  if (own.row) inspector.append(Object.assign(make("a", "What else could run it"), { href: `#${own.row}` }));
  inspector.hidden = false;
  inspector.scrollTop = 0;
}
document.addEventListener("click", (event) => {
  const node = event.target.closest(".node");
  const link = event.target.closest("a[href^='#']");
  if (node) {
    event.preventDefault();
    if (!node.closest(".held")) choose(node.id);
  } else if (link && /^#(before|after)-\d+$/.test(link.getAttribute("href"))) {
    event.preventDefault();
    document.getElementById("graph").scrollIntoView();
    choose(link.getAttribute("href").slice(1));
  } else if (link && link.getAttribute("href").startsWith("#kernel-")) {
    const row = document.querySelector(link.getAttribute("href"));
    if (row) row.closest("details").open = true;
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") leave();
  if (event.key === "Enter" && document.activeElement.matches(".node")) choose(document.activeElement.id);
});

// ── Kernels: sort and filter ──
const rows = document.getElementById("kernel-rows");
for (const button of all("[data-sort]")) button.addEventListener("click", () => {
  const key = button.dataset.sort;
  const numbers = key === "time" || key === "others";
  const up = button.classList.contains("down") || (!numbers && !button.classList.contains("up"));
  all("[data-sort]").forEach((each) => each.classList.remove("up", "down"));
  button.classList.add(up ? "up" : "down");
  const compare = (a, b) =>
    key === "kernel" ? a.dataset.kernel.localeCompare(b.dataset.kernel) : a.dataset[key] - b.dataset[key];
  rows.append(...all(":scope > details", rows).sort((a, b) => (up ? compare(a, b) : compare(b, a))));
});
document.getElementById("filter")?.addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const row of rows.children)
    row.hidden = !row.firstElementChild.textContent.toLowerCase().includes(wanted);
});
