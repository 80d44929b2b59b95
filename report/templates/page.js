"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Table of contents: highlight the section that is being read, the last one whose top has scrolled
// into the upper third of the window.
const links = new Map(all("#contents a").map((link) => [link.hash.slice(1), link]));
const highlightCurrentSection = () => {
  const sections = all("main > section");
  const started = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
  const current = links.get((started.at(-1) ?? sections[0]).id);
  if (current.hasAttribute("aria-current")) return;
  for (const link of links.values()) link.removeAttribute("aria-current");
  current.setAttribute("aria-current", "true");
  const list = document.getElementById("contents");
  if (list.scrollHeight > list.clientHeight) list.scrollTop = current.offsetTop - list.clientHeight / 2;
};
let frameRequested = false;
addEventListener("scroll", () => {
  if (frameRequested) return;
  frameRequested = true;
  requestAnimationFrame(() => { frameRequested = false; highlightCurrentSection(); });
}, { passive: true });
highlightCurrentSection();

// Sortable tables: clicking a column heading sorts by that column, numbers by value and missing
// values last. A second click reverses the order.
const cellValue = (cell) => {
  const text = cell.textContent.trim().replaceAll(",", "").replace("−", "-").replace(/^×/, "");
  const number = /^[-+]?\d+(\.\d+)?(e[-+]?\d+)?(?=$|[\s/%±(])/.exec(text);
  return text === "–" || text === "" ? null : number ? Number(number[0]) : text;
};
const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
for (const table of all(".wide > table")) {
  const body = table.tBodies[0];
  if (!table.tHead || body.rows.length < 3) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (!head.textContent) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.ariaSort === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.ariaSort = descending ? "descending" : "ascending";
      const rows = [...body.rows].map((row) => [cellValue(row.cells[column]), row]);
      rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : (descending ? -1 : 1) * compare(a, b));
      body.append(...rows.map(([, row]) => row));
    });
  });
}

// Searchable tables: show the rows that contain every word of the query.
for (const search of all(".search")) {
  const rows = [...search.nextElementSibling.querySelector("tbody").rows];
  const field = search.querySelector("input"), count = search.querySelector("output");
  search.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    count.textContent = field.value && `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  });
}

// Table of claims: filter by verdict.
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

// Attention viewer: shade every token of the passage by the attention weight that the selected
// token (the query) gives to that token, in the selected head of the selected network.
const data = document.getElementById("atlas-data");
if (data) {
  for (const element of all(".scripted")) element.hidden = false;
  const [networkMenu, headMenu, passage, status, scores] =
    ["network", "head", "passage", "status", "scores"].map((name) => document.getElementById(`atlas-${name}`));
  const networks = JSON.parse(data.textContent);
  for (const network of networks) network.bytes = Uint8Array.from(atob(network.weights), (letter) => letter.charCodeAt(0));
  const tokenName = (token) => token === " " ? "space" : token === "\n" ? "line break" : `“${token}”`;
  let query = 0, spans = [];
  const showQuery = () => {
    const network = networks[networkMenu.selectedIndex], tokens = network.passage;
    const start = (headMenu.selectedIndex * tokens.length + query) * tokens.length;
    const weights = [...network.bytes.subarray(start, start + tokens.length)].map((byte) => byte / 255);
    const largest = Math.max(...weights, 1e-9);
    spans.forEach((span, position) => {
      span.ariaSelected = String(position === query);
      span.classList.toggle("later", position > query);
      span.style.backgroundColor = weights[position] ? `rgba(var(--mark), ${(0.85 * weights[position] / largest).toFixed(3)})` : "";
    });
    passage.setAttribute("aria-activedescendant", spans[query].id);
    const top = weights.map((weight, position) => [weight, position]).sort((a, b) => b[0] - a[0]).slice(0, 3).filter(([weight]) => weight > 0);
    status.textContent = `${tokenName(tokens[query])} at position ${query + 1} attends to ` + top.map(([weight, position]) =>
      `${tokenName(tokens[position])} at position ${position + 1}: ${Math.round(100 * weight)} %`).join(", ");
    scores.replaceChildren(...network.scores[headMenu.selectedIndex].map((cells) => {
      const row = document.createElement("tr");
      cells.forEach((text, column) => {
        const cell = row.appendChild(document.createElement(column ? "td" : "th"));
        if (!column) cell.scope = "row";
        cell.textContent = text;
      });
      return row;
    }));
  };
  const showNetwork = () => {
    const network = networks[networkMenu.selectedIndex], selectedHead = Math.max(headMenu.selectedIndex, 0);
    headMenu.replaceChildren(...network.heads.map((name) => new Option(name)));
    headMenu.selectedIndex = Math.min(selectedHead, network.heads.length - 1);
    spans = network.passage.map((token, position) => {
      const span = document.createElement("span");
      span.id = `atlas-${position}`;
      span.role = "option";
      span.textContent = token === "\n" ? "↵\n" : token;
      span.ariaLabel = tokenName(token);
      for (const kind of ["pointerenter", "pointerdown"]) span.addEventListener(kind, () => { query = position; showQuery(); });
      return span;
    });
    passage.replaceChildren(...spans);
    query = Math.min(query, spans.length - 1);
    showQuery();
  };
  const steps = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity };
  passage.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    query = Math.min(Math.max(query + steps[event.key], 0), spans.length - 1);
    showQuery();
  });
  networkMenu.addEventListener("change", showNetwork);
  headMenu.addEventListener("change", showQuery);
  query = Math.floor(networks[0].passage.length / 2);
  showNetwork();
}

// Boxes that scroll horizontally get a tab stop, so that they can be scrolled from the keyboard.
const updateTabStops = () => {
  for (const box of all(".wide, .drawn")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; else box.removeAttribute("tabindex");
  }
};
addEventListener("resize", updateTabStops);
addEventListener("toggle", updateTabStops, true);
updateTabStops();
