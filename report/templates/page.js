"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Table of contents: highlight the section that is being read, the last one whose top has scrolled
// into the upper third of the window.
// A chapter of several sections has one link, to its first.
const links = new Map(all("#contents a").map((link) => [link.hash.slice(1), link]));
for (const section of all("main > section")) if (!links.has(section.id)) links.set(section.id, [...links].findLast(([id]) =>
  document.getElementById(id).compareDocumentPosition(section) & Node.DOCUMENT_POSITION_FOLLOWING)?.[1]);
const highlightCurrentSection = () => {
  const sections = all("main > section");
  const started = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
  const current = links.get((started.at(-1) ?? sections[0]).id);
  if (!current || current.hasAttribute("aria-current")) return;
  for (const link of links.values()) link?.removeAttribute("aria-current");
  current.setAttribute("aria-current", "true");
  const list = document.getElementById("contents");
  const below = current.getBoundingClientRect().top - list.getBoundingClientRect().top;
  if (list.scrollHeight > list.clientHeight) list.scrollTop += below - list.clientHeight / 2;
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
const makeSortable = (table) => {
  const body = table.tBodies[0];
  if (!table.tHead || body.rows.length < 3 || table.matches(".map, .card table")) return;
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
};

// Searchable tables: show the rows that contain every word of the query.
const makeSearchable = (search) => {
  const rows = [...search.nextElementSibling.querySelector("tbody").rows];
  const field = search.querySelector("input"), count = search.querySelector("output");
  search.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    count.textContent = field.value && `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  });
};
for (const search of all(".search")) makeSearchable(search);

// Long lists are kept as CSV, and become tables when they are unfolded.
const makeTable = (pre) => {
  const [head, ...rows] = fromCsv(pre.textContent), box = document.createElement("div"), search = document.createElement("p");
  const table = document.createElement("table"), row = table.createTHead().insertRow(), body = table.createTBody();
  const cell = (place, name, text) => { const made = place.appendChild(document.createElement(name)); made.textContent = text; return made; };
  for (const name of head) cell(row, "th", name).scope = "col";
  for (const texts of rows) {
    const line = body.insertRow();
    texts.forEach((text, column) => { const made = cell(line, column ? "td" : "th", text); if (!column) made.scope = "row"; });
  }
  table.ariaLabel = pre.dataset.name;
  search.className = "search";
  search.append(Object.assign(document.createElement("label"), { textContent: "Search: " }), " ", document.createElement("output"));
  search.firstChild.append(Object.assign(document.createElement("input"), { type: "search", autocomplete: "off" }));
  box.className = "wide";
  box.append(table);
  pre.replaceWith(search, box);
  makeSearchable(search);
};

// Opening what an address names: a claim's card, and what it lies in.
const reveal = (element) => {
  for (let part = element; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
  element.scrollIntoView();
};

// Verdict map: filter by verdict, search, and keep both in the address.
const filter = document.querySelector(".filter");
const fromHash = () => {
  const hash = location.hash.slice(1);
  if (filter && /^(show|find)=/.test(hash)) {
    const wanted = new URLSearchParams(hash);
    showRows((wanted.get("show") ?? "").replaceAll("not-", "not ").split(",").filter(Boolean), wanted.get("find") ?? "");
    filter.scrollIntoView();
  } else if (hash && document.getElementById(hash)) reveal(document.getElementById(hash));
};
const showRows = (verdicts, words) => {
  const map = document.getElementById("map"), rows = all("[data-verdict]", map), search = filter.querySelector("input");
  if (search.value !== words) search.value = words;
  const wanted = words.toLowerCase().split(/\s+/);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = Boolean(verdicts.length) && !verdicts.includes(row.dataset.verdict) || !wanted.every((word) => text.includes(word));
  }
  for (const part of all("details", map)) if (verdicts.length || words) part.open = Boolean(part.querySelector("[data-verdict]:not([hidden])"));
  const select = filter.querySelector("select"), value = verdicts.join(",");
  if (![...select.options].some((option) => option.value === value)) select.add(new Option(verdicts.join(" or "), value));
  select.value = value;
  const output = filter.querySelector("output");
  output.textContent = verdicts.length || words ? `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims` : "";
  if (!words) return;
  const sections = all("main > section").filter((section) => section.id !== "findings" && wanted.every((word) => section.textContent.toLowerCase().includes(word)));
  output.append(`; ${sections.length} section${sections.length === 1 ? "" : "s"}`, ...sections.slice(0, 12).flatMap((section) => {
    const link = document.createElement("a");
    link.href = `#${section.id}`;
    link.textContent = section.querySelector("h3, h4").textContent;
    return [" · ", link];
  }));
};
if (filter) {
  filter.hidden = false;
  const keep = () => {
    const show = filter.querySelector("select").value, words = filter.querySelector("input").value;
    const parts = [show && `show=${show.replaceAll(" ", "-")}`, words && `find=${encodeURIComponent(words)}`];
    history.replaceState(null, "", `#${parts.filter(Boolean).join("&")}`);
    showRows(show.split(",").filter(Boolean), words);
  };
  filter.addEventListener("input", keep);
}
for (const card of all(".card")) card.addEventListener("toggle", () => {
  if (card.open) history.replaceState(null, "", `#${card.id}`);
});
addEventListener("hashchange", fromHash);
fromHash();

// Taking things along: files and texts made from what is on the page.
const save = (name, text, type) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
};
const copy = (text, button) => {
  const label = button.textContent, done = () => { button.textContent = "copied"; setTimeout(() => { button.textContent = label; }, 1500); };
  if (navigator.clipboard) return navigator.clipboard.writeText(text).then(done, () => prompt("Copy:", text));
  prompt("Copy:", text);
};
const tool = (label, action) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.addEventListener("click", () => action(button));
  return button;
};
const tools = (...buttons) => {
  const row = document.createElement("div");
  row.className = "tools";
  row.append(...buttons);
  return row;
};
const placeOf = (element) => (element.closest("section") ?? document.body).id || "page";
const cellsOf = (table) => [...table.rows].filter((row) => !row.hidden).map((row) =>
  [...row.cells].map((cell) => cell.innerText.trim().replace(/\s+/g, " ")));
const csvCell = (text) => {
  const plain = /^[=+@\t]/.test(text) || /^-(?!\d)/.test(text) ? `'${text}` : text;
  return /[",\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
};
const fromCsv = (text) => {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.trim().matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\n") rows.push([]);
    if (!end) return rows;
  }
  return rows;
};
const asCsv = (rows) => rows.map((row) => row.map(csvCell).join(",")).join("\n");
const asMarkdown = ([head, ...rows]) => [head, head.map(() => "---"), ...rows]
  .map((row) => `| ${row.map((text) => text.replaceAll("|", "\\|")).join(" | ")} |`).join("\n");
const asLatex = ([head, ...rows]) => {
  const escape = (text) => text.replace(/[\\&%$#_{}~^]/g, (sign) => sign === "\\" ? "\\textbackslash{}" : sign === "~" || sign === "^" ? `\\${sign}{}` : `\\${sign}`);
  const line = (row) => `${row.map(escape).join(" & ")} \\\\`;
  return ["\\begin{tabular}{" + "l".repeat(head.length) + "}", "\\toprule", line(head), "\\midrule", ...rows.map(line), "\\bottomrule", "\\end{tabular}"].join("\n");
};
const svgFile = (svg) => {
  const picture = svg.cloneNode(true), style = getComputedStyle(document.documentElement);
  picture.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  picture.setAttribute("color", style.getPropertyValue("--text"));
  picture.prepend(Object.assign(document.createElementNS("http://www.w3.org/2000/svg", "style"), {
    textContent: `text { font: ${svg.matches(".chart") ? 12 : 8.8}px sans-serif; fill: currentColor } .grid, .edge { fill: none; stroke: var(--line); stroke-width: .8 } .area { fill: none }` }));
  return new XMLSerializer().serializeToString(picture)
    .replace(/var\(--(\w+)\)/g, (_, name) => style.getPropertyValue(`--${name}`));
};
const equipFigure = (figure) => {
  const svg = figure.querySelector("svg"), csv = figure.querySelector(".data pre, pre.csv")?.textContent;
  const buttons = [tool("SVG", () => save(`${placeOf(figure)}.svg`, svgFile(figure.querySelector("svg")), "image/svg+xml"))];
  if (csv) buttons.unshift(tool("CSV", () => save(`${placeOf(figure)}.csv`, csv, "text/csv")));
  if (svg) (figure.querySelector(".data") ?? figure).append(tools(...buttons));
};
const equipTable = (table) => table.parentElement.after(tools(
  tool("CSV", () => save(`${placeOf(table)}.csv`, asCsv(cellsOf(table)), "text/csv")),
  tool("Markdown", (button) => copy(asMarkdown(cellsOf(table)), button)),
  tool("LaTeX", (button) => copy(asLatex(cellsOf(table)), button))));
const equipCard = (card) => {
  const citation = document.querySelector("pre.bibtex")?.textContent ?? "";
  const address = () => `${location.href.split("#")[0]}#${card.id}`;
  card.append(tools(
    tool("copy link", (button) => copy(address(), button)),
    tool("copy BibTeX", (button) => copy(citation.replace("{transformer-ablations,", `{transformer-ablations-${card.id.slice(6)},`)
      .replace("  note = {", `  howpublished = {claim ${card.id.slice(6)}},\n  note = {`), button))));
};
// What a part that is unfolded can do is made when it is first unfolded.
const equip = (part) => {
  if (part.dataset.equipped) return;
  part.dataset.equipped = "yes";
  const own = (element) => element.closest("details") === part;
  all("pre.rows", part).filter(own).forEach(makeTable);
  all(".wide > table", part).filter(own).forEach((table) => { makeSortable(table); equipTable(table); });
  all("figure.drawn", part).filter(own).forEach((figure) => { if (figure.dataset.chart) chart(figure); });
  if (part.matches(".more")) for (const figure of [...all("figure.drawn", part), ...all(".pair figure", part.parentElement)]) {
    if (!figure.querySelector(".data")) equipFigure(figure);
  }
  if (part.matches(".card")) equipCard(part);
  if (part.matches(".data")) equipFigure(part.closest("figure"));
};
for (const part of all("details")) {
  part.addEventListener("toggle", () => equip(part));
  if (part.open) equip(part);
}
for (const table of all(".wide > table")) if (!table.closest("details")) makeSortable(table);
for (const code of all("code.copy")) code.after(" ", tool("copy", (button) => copy(code.textContent, button)));

// Charts: a figure whose data is drawn again as the reader chooses.
function chart(figure) {
  const { x: names, y, unit, colours, log, cap, guides } = JSON.parse(figure.dataset.chart);
  const [head, ...lines] = fromCsv(figure.querySelector(".data pre").textContent);
  const rows = lines.map((line) => Object.fromEntries(head.map((name, column) =>
    [name, column ? (line[column] === "" ? null : Number(line[column])) : line[column]])));
  const series = [...new Set(rows.map((row) => row[head[0]]))];
  const state = { x: names[0], log, less: "", off: new Set(), pair: ["", ""] };
  const plot = figure.querySelector(".plot"), readout = document.createElement("p"), legend = tools(), controls = tools();
  readout.className = "readout";
  readout.setAttribute("aria-live", "polite");
  const beside = document.createElement("table");  // the ends of two lines, side by side
  plot.after(controls, legend, readout, beside);
  let at = null;
  const element = (name, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const number = (value) => value === null ? "–" : Math.abs(value) >= 1e4 ? value.toExponential(1).replace("e+", "e") : String(Number(value.toPrecision(4)));
  const showBeside = () => {
    const [one, other] = state.pair.map((name) => rows.filter((row) => row[head[0]] === name && row[y] !== null).at(-1));
    beside.replaceChildren();
    if (!one || !other) return;
    for (const texts of [["at the end", ...state.pair, "difference"], ...[y, ...names].map((name) => [name, number(one[name]), number(other[name]), number(one[name] === null || other[name] === null ? null : other[name] - one[name])])]) {
      const line = beside.insertRow();
      for (const text of texts) line.insertCell().textContent = text;
    }
  };
  const draw = () => {
    const reference = new Map(rows.filter((row) => row[head[0]] === state.less).map((row) => [row[names[0]], row[y]]));
    const shown = rows.filter((row) => !state.off.has(row[head[0]]) && row[state.x] !== null && (row[state.x] > 0 || !state.log) && row[y] !== null)
      .map((row) => ({ name: row[head[0]], x: row[state.x], base: reference.get(row[names[0]]) ?? null, ...row }))
      .filter((row) => !state.less || row.base !== null)
      .map((row) => ({ ...row, v: row[y] - (row.base ?? 0), a: state.less || row.low === null ? null : row.low, b: state.less ? null : row.high }));
    const width = 720, height = 340, left = 64, bottom = 296, right = 706, top = 12;
    if (!shown.length) return plot.replaceChildren("There is nothing to draw: no line is chosen, or none has a point on this axis.");
    const scale = (values, from, to, log) => {
      let low = Math.min(...values), high = Math.max(...values);
      if (low === high) { low -= .5; high += .5; }
      const f = log ? Math.log10 : (value) => value;
      return { low, high, place: (value) => from + (to - from) * (f(value) - f(low)) / (f(high) - f(low)) };
    };
    const drawn = (value) => cap === null ? value : Math.max(-cap, Math.min(cap, value));
    const sx = scale(shown.map((row) => row.x), left, right, state.log);
    // An interval wider than the means' own range and a quarter of it on each side is drawn to that edge.
    const means = shown.map((row) => drawn(row.v)), lowest = Math.min(...means), highest = Math.max(...means);
    const room = (highest - lowest) / 4 || Infinity, end = (value) => Math.max(lowest - room, Math.min(highest + room, drawn(value)));
    const sy = scale(shown.flatMap((row) => [drawn(row.v), ...[row.a, row.b].filter((value) => value !== null).map(end)]), bottom, top, false);
    const ticks = ({ low, high }, log) => {
      if (log) return [1, 2, 5].flatMap((digit) => Array.from({ length: 40 }, (_, power) => digit * 10 ** (power - 20))).filter((tick) => tick >= low && tick <= high).sort((a, b) => a - b);
      const step = [1, 2, 5, 10].map((digit) => digit * 10 ** Math.floor(Math.log10((high - low) / 5))).find((size) => (high - low) / size <= 7);
      return Array.from({ length: 9 }, (_, count) => (Math.ceil(low / step) + count) * step).filter((tick) => tick <= high);
    };
    const svg = element("svg", { class: "figure chart", viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": `${unit} against ${state.x}; arrow keys move along` });
    for (const tick of ticks(sx, state.log)) svg.append(
      element("path", { d: `M${sx.place(tick)} ${top}V${bottom}`, stroke: "var(--line)" }),
      element("text", { x: sx.place(tick), y: bottom + 16, "text-anchor": "middle" }, number(tick)));
    for (const tick of ticks(sy, false)) svg.append(
      element("path", { d: `M${left} ${sy.place(tick)}H${right}`, stroke: "var(--line)" }),
      element("text", { x: left - 6, y: sy.place(tick) + 4, "text-anchor": "end" }, number(tick)));
    svg.append(element("text", { x: (left + right) / 2, y: height - 6, "text-anchor": "middle" }, state.x),
      element("text", { x: 14, y: (top + bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 14 ${(top + bottom) / 2})` }, state.less ? `less ${state.less}` : unit));
    if (!state.less) for (const guide of guides.filter((value) => value >= sy.low && value <= sy.high)) svg.append(
      element("path", { class: "guide", d: `M${left} ${sy.place(guide)}H${right}`, stroke: "var(--soft)", "stroke-dasharray": "2 3" }));
    series.forEach((name) => {
      const own = shown.filter((row) => row.name === name).sort((one, other) => one.x - other.x), colour = colours[name];
      if (!own.length) return;
      if (own.every((row) => row.a !== null && row.b !== null)) svg.append(element("path", { fill: colour, opacity: .18,
        d: `M${own.map((row) => `${sx.place(row.x)} ${sy.place(end(row.b))}`).join("L")}L${own.toReversed().map((row) => `${sx.place(row.x)} ${sy.place(end(row.a))}`).join("L")}z` }));
      if (own.length === 1) svg.append(element("circle", { cx: sx.place(own[0].x), cy: sy.place(drawn(own[0].v)), r: 4, fill: colour }));
      svg.append(element("path", { fill: "none", stroke: colour, "stroke-width": 1.8, d: `M${own.map((row) => `${sx.place(row.x)} ${sy.place(drawn(row.v))}`).join("L")}` }));
    });
    const cursor = element("path", { stroke: "currentColor", "stroke-dasharray": "3 3", d: "" });
    svg.append(cursor);
    const places = [...new Set(shown.map((row) => row.x))].sort((one, other) => one - other);
    const read = (wanted) => {
      at = places.reduce((best, place) => Math.abs(sx.place(place) - wanted) < Math.abs(sx.place(best) - wanted) ? place : best);
      cursor.setAttribute("d", `M${sx.place(at)} ${top}V${bottom}`);
      const values = series.map((name) => {
        const nearest = shown.filter((row) => row.name === name)
          .reduce((best, row) => !best || Math.abs(row.x - at) < Math.abs(best.x - at) ? row : best, null);
        return nearest && `${name} ${nearest.v.toFixed(3)}`;
      });
      readout.textContent = `${state.x} ${number(at)}: ${values.filter(Boolean).join(", ")}`;
    };
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      read((event.clientX - box.left) * width / box.width);
    });
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const now = at === null ? (step > 0 ? -1 : places.length) : places.indexOf(at);
      read(sx.place(places[Math.min(Math.max(now + step, 0), places.length - 1)]));
    });
    at = null;
    readout.textContent = "Point at the chart, or focus it and use the arrow keys.";
    plot.replaceChildren(svg);
  };
  const refresh = () => {
    const choose = (label, pressed, action) => {
      const button = tool(label, () => { action(); refresh(); });
      button.ariaPressed = String(pressed);
      return button;
    };
    const less = document.createElement("select");
    less.ariaLabel = "difference from";
    less.append(new Option("absolute", ""), ...series.map((name) => new Option(`less ${name}`, name)));
    less.value = state.less;
    less.addEventListener("change", () => { state.less = less.value; refresh(); });
    const beside = [0, 1].map((place) => {
      const menu = document.createElement("select");
      menu.ariaLabel = place ? "second of two side by side" : "first of two side by side";
      menu.append(new Option(place ? "and …" : "compare …", ""), ...series.map((name) => new Option(name)));
      menu.value = state.pair[place];
      menu.addEventListener("change", () => {
        state.pair[place] = menu.value;
        state.off = new Set(state.pair.every(Boolean) ? series.filter((name) => !state.pair.includes(name)) : []);
        refresh();
      });
      return menu;
    });
    controls.replaceChildren(...names.map((name) => choose(name, state.x === name, () => { state.x = name; })),
      choose("log", state.log, () => { state.log = !state.log; }), less, ...beside);
    legend.replaceChildren(...series.map((name) => {
      const button = choose(name, !state.off.has(name), () => { state.off.has(name) ? state.off.delete(name) : state.off.add(name); });
      button.style.borderLeft = `.5rem solid ${colours[name]}`;
      return button;
    }));
    showBeside();
    draw();
  };
  refresh();
}

// Attention viewer: shade every token of the passage by the attention weight that the selected
// token (the query) gives to that token, in the selected head of the selected network.
const data = document.getElementById("atlas-data");
if (data) {
  const [networkMenu, headMenu, passage, status, scores] =
    ["network", "head", "passage", "status", "scores"].map((name) => document.getElementById(`atlas-${name}`));
  const networks = JSON.parse(data.textContent);
  const inflate = async (text) => {
    const packed = new Blob([Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))]);
    return new Uint8Array(await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  };
  const tokenName = (token) => token === " " ? "space" : token === "\n" ? "line break" : `“${token}”`;
  let query = 0, spans = [];
  const showQuery = () => {
    const network = networks[networkMenu.selectedIndex], tokens = network.passage;
    const start = headMenu.selectedIndex * tokens.length * (tokens.length + 1) / 2 + query * (query + 1) / 2;
    const weights = [...network.bytes.subarray(start, start + query + 1)].map((byte) => byte / 255);
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
  Promise.all(networks.map(async (network) => { network.bytes = await inflate(network.weights); })).then(() => {
    for (const element of all(".scripted")) element.hidden = false;
    showNetwork();
    updateTabStops();
  });
}

// Boxes that scroll horizontally get a tab stop, so that they can be scrolled from the keyboard.
const updateTabStops = () => {
  for (const box of all(".wide, .plot")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0; else box.removeAttribute("tabindex");
  }
};
addEventListener("resize", updateTabStops);
addEventListener("toggle", updateTabStops, true);
updateTabStops();
