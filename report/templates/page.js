"use strict";
const all = (selector, from = document) => [...from.querySelectorAll(selector)];

// The contents follow the reader: the last section that has begun is the one being read.
const links = new Map(all("#contents a").map((link) => [link.hash.slice(1), link]));
const follow = () => {
  const begun = all("main > section").filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
  const here = links.get((begun.at(-1) ?? document.querySelector("main > section")).id);
  if (here.hasAttribute("aria-current")) return;
  for (const link of links.values()) link.removeAttribute("aria-current");
  here.setAttribute("aria-current", "true");
  const list = document.getElementById("contents");
  if (list.scrollHeight > list.clientHeight) list.scrollTop = here.offsetTop - list.clientHeight / 2;
};
let waiting = false;
addEventListener("scroll", () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; follow(); });
}, { passive: true });
follow();

// Tables sort by the column whose head is pressed: numbers by value, and what is not there last.
const value = (cell) => {
  const text = cell.textContent.trim().replaceAll(",", "").replace("−", "-").replace(/^×/, "");
  const number = /^[-+]?\d+(\.\d+)?(e[-+]?\d+)?(?=$|[\s/%±(])/.exec(text);
  return text === "–" || text === "" ? null : number ? Number(number[0]) : text;
};
const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
for (const table of all(".wide > table")) {
  const body = table.tBodies[0];
  if (!table.tHead || body.rows.length < 3) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.ariaSort === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.ariaSort = down ? "descending" : "ascending";
      const rows = [...body.rows].map((row) => [value(row.cells[column]), row]);
      rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : (down ? -1 : 1) * compare(a, b));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// A searched table shows the rows that have every word.
for (const search of all(".search")) {
  const rows = [...search.nextElementSibling.querySelector("tbody").rows];
  const field = search.querySelector("input"), told = search.querySelector("output");
  search.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    told.textContent = field.value && `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
  });
}

// Claims are filtered by verdict.
for (const filter of all(".filter")) {
  filter.hidden = false;
  const buttons = all("button", filter);
  for (const button of buttons) button.addEventListener("click", () => {
    for (const other of buttons) other.ariaPressed = String(other === button);
    for (const row of all("[data-verdict]", filter.nextElementSibling)) {
      row.hidden = Boolean(button.dataset.show) && row.dataset.verdict !== button.dataset.show;
    }
  });
}

// The atlas: what the chosen character attends to, in the chosen head of the chosen network.
const data = document.getElementById("atlas-data");
if (data) {
  for (const part of all(".scripted")) part.hidden = false;
  const [network, head, passage, told, scores] =
    ["network", "head", "passage", "told", "scores"].map((name) => document.getElementById(`atlas-${name}`));
  const networks = JSON.parse(data.textContent);
  for (const one of networks) one.bytes = Uint8Array.from(atob(one.weights), (letter) => letter.charCodeAt(0));
  const named = (letter) => letter === " " ? "space" : letter === "\n" ? "line break" : `“${letter}”`;
  let query = 0, spans = [];
  const show = () => {
    const one = networks[network.selectedIndex], time = one.passage.length;
    const start = (head.selectedIndex * time + query) * time;
    const weights = [...one.bytes.subarray(start, start + time)].map((byte) => byte / 255);
    const most = Math.max(...weights, 1e-9);
    spans.forEach((span, place) => {
      span.ariaSelected = String(place === query);
      span.classList.toggle("later", place > query);
      span.style.backgroundColor = weights[place] ? `rgba(var(--mark), ${(0.85 * weights[place] / most).toFixed(3)})` : "";
    });
    passage.setAttribute("aria-activedescendant", spans[query].id);
    const best = weights.map((weight, place) => [weight, place]).sort((a, b) => b[0] - a[0]).slice(0, 3).filter(([weight]) => weight > 0);
    told.textContent = `${named(one.passage[query])} at place ${query + 1} attends to ` + best.map(([weight, place]) =>
      `${named(one.passage[place])} at ${place + 1}: ${Math.round(100 * weight)} %`).join(", ");
    scores.replaceChildren(...one.scores[head.selectedIndex].map((line) => {
      const row = document.createElement("tr");
      line.forEach((cell, place) => {
        const made = row.appendChild(document.createElement(place ? "td" : "th"));
        if (!place) made.scope = "row";
        made.textContent = cell;
      });
      return row;
    }));
  };
  const read = () => {
    const one = networks[network.selectedIndex], kept = Math.max(head.selectedIndex, 0);
    head.replaceChildren(...one.heads.map((name) => new Option(name)));
    head.selectedIndex = Math.min(kept, one.heads.length - 1);
    spans = one.passage.map((letter, place) => {
      const span = document.createElement("span");
      span.id = `atlas-${place}`;
      span.role = "option";
      span.textContent = letter === "\n" ? "↵\n" : letter;
      span.ariaLabel = named(letter);
      for (const kind of ["pointerenter", "pointerdown"]) span.addEventListener(kind, () => { query = place; show(); });
      return span;
    });
    passage.replaceChildren(...spans);
    query = Math.min(query, spans.length - 1);
    show();
  };
  const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity };
  passage.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    query = Math.min(Math.max(query + steps[event.key], 0), spans.length - 1);
    show();
  });
  network.addEventListener("change", read);
  head.addEventListener("change", show);
  query = Math.floor(networks[0].passage.length / 2);
  read();
}

// What is wider than its place scrolls, and so must be reached without a mouse.
const reach = () => {
  for (const box of all(".wide, .drawn")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; else box.removeAttribute("tabindex");
  }
};
addEventListener("resize", reach);
addEventListener("toggle", reach, true);
reach();
