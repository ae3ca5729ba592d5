// The list of paths: unpacks the data of the page, filters it, shows rows a hundred at a time. Every text becomes a text
// node; nothing here parses HTML.
"use strict";
(() => {
  const STEP = 100;
  const byId = (id) => document.getElementById(id);
  const holder = byId("data");
  if (!holder) return;

  const words = byId("words"), verdict = byId("verdict"), pair = byId("pair"), cell = byId("cell"), more = byId("more");
  const filter = { words: "", verdict: "", pair: "", cell: "" };
  let paths = [], kinds = {}, found = [], shown = 0;

  /** An element with attributes and children; strings become text. */
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };

  async function unpack() {
    const bytes = Uint8Array.from(atob(holder.textContent.trim()), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const data = JSON.parse(await new Response(stream).text());
    kinds = data.verdicts;
    paths = data.paths.map((values) => {
      const path = Object.fromEntries(data.fields.map((name, index) => [name, values[index]]));
      const [source, target, protocol] = path.id.split("--");
      path.from = place(source);
      path.to = place(target || "");
      path.cell = `${path.from.spot}--${path.to.spot}--${protocol}`;
      path.pair = `${path.from.cluster} → ${path.to.cluster}`;
      return path;
    });
  }

  /** `pod.ngw2.c1` is a place; its spot in a matrix has no ordinal: `pod.ngw.c1`. */
  const place = (side) => {
    const [kind, node, cluster] = side.split(".");
    return { cluster: cluster || "", spot: `${kind}.${(node || "").replace(/\d+$/, "")}.${cluster}` };
  };

  const isBad = (path) => kinds[path.verdict].tone === "bad";
  const letter = (word) => make("span", { class: `letter ${kinds[word].tone}`, "aria-hidden": "true" }, kinds[word].letter);
  const time = (ms) => (ms === null ? "" : ms < 10 ? `${ms.toFixed(2)} ms` : `${ms.toFixed(0)} ms`);

  function matches(path) {
    if (filter.cell && path.cell !== filter.cell) return false;
    if (filter.pair && path.pair !== filter.pair) return false;
    if (filter.verdict === "bad" ? !isBad(path) : filter.verdict && path.verdict !== filter.verdict) return false;
    if (!filter.words) return true;
    path.text ??= [path.id, path.title, path.verdict, path.detail, path.source, path.source_node, path.target_node,
      path.target_address, path.causes.join(" "), path.evidence.join(" "), path.suite].join("\n").toLowerCase();
    return filter.words.toLowerCase().split(/\s+/).every((word) => path.text.includes(word));
  }

  function row(path) {
    const name = make("span", { class: "name" }, path.title, make("small", {}, path.id));
    const nodes = [path.source_node, path.target_node].filter(Boolean).join(" → ");
    const summary = make("summary", { "aria-label": `${path.verdict}: ${path.title}` }, letter(path.verdict), name,
      make("span", { class: "nodes" }, nodes), make("span", { class: "rtt" }, time(path.rtt_ms)));
    const details = make("details", { class: "path", "data-id": path.id }, summary);
    details.addEventListener("toggle", () => {
      if (details.open && details.childElementCount === 1) details.append(story(path));
    });
    return details;
  }

  /** Everything that is known of a path. */
  function story(path) {
    const list = make("dl");
    const tell = (name, ...value) => list.append(make("dt", {}, name), make("dd", {}, ...value));
    tell("verdict", `${path.verdict}: ${kinds[path.verdict].meaning}`);
    tell("expected", path.expected);
    if (path.detail) tell("what happened", path.detail);
    const to = [path.target_node, path.target_address && `(${path.target_address})`].filter(Boolean).join(" ");
    if (path.source_node && to) tell("between", `${path.source_node} → ${to}`);
    if (path.source) tell("source address", path.source);
    if (path.rtt_ms !== null) tell("round trip", time(path.rtt_ms));
    if (path.attempts) tell("attempts", String(path.attempts));
    for (const cause of path.causes) {
      const [anchor, code] = cause.split(" ");
      tell("cause", anchor ? make("a", { href: `#${anchor}` }, code) : code);
    }
    if (path.evidence.length) tell("evidence", make("ul", {}, ...path.evidence.map((line) => make("li", {}, line))));
    if (path.command) tell("by hand", make("code", {}, path.command), copier(path.command));
    if (path.subctl_spec) tell("subctl spec", path.subctl_spec);
    tell("test", make("span", { class: "mono" }, path.nodeid || path.suite));
    return list;
  }

  function copier(text) {
    if (!navigator.clipboard) return null;
    const button = make("button", { type: "button" }, "copy");
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "copied";
      } catch {
        button.textContent = "select it and copy";
      }
    });
    return button;
  }

  function show(count) {
    const rows = found.slice(shown, shown + count).map(row);
    byId("list").append(...rows);
    shown += rows.length;
    more.hidden = shown >= found.length;
    more.textContent = `Show ${Math.min(STEP, found.length - shown)} more`;
  }

  function refresh() {
    found = paths.filter(matches);
    shown = 0;
    byId("list").replaceChildren();
    byId("number").textContent = `${found.length.toLocaleString("en")} of ${paths.length.toLocaleString("en")} paths`;
    cell.hidden = !filter.cell;
    cell.textContent = `${filter.cell.replaceAll("--", " ")} ✕`;
    cell.setAttribute("aria-label", `No longer only ${filter.cell}`);
    show(STEP);
  }

  function choose(changes) {
    Object.assign(filter, { words: "", verdict: "", pair: "", cell: "" }, changes);
    words.value = filter.words;
    verdict.value = filter.verdict;
    pair.value = filter.pair;
    refresh();
  }

  function open(id) {
    choose({ words: id });
    found.sort((a, b) => (b.id === id) - (a.id === id));
    byId("list").replaceChildren();
    shown = 0;
    show(STEP);
    const first = byId("list").firstElementChild;
    if (first) first.open = true;
    return first;
  }

  /** `#cell=…` and `#path=…` are places of this page that can be linked to. */
  function follow() {
    const [kind, ...rest] = location.hash.slice(1).split("=");
    if (kind !== "cell" && kind !== "path") return;
    let value = rest.join("=");
    try { value = decodeURIComponent(value); } catch { /* as it is */ }
    if (kind === "cell") choose({ cell: value });
    const first = kind === "path" ? open(value) : byId("list").firstElementChild;
    byId("paths").scrollIntoView();
    (first ? first.firstElementChild : byId("paths")).focus({ preventScroll: true });
  }

  /** A table of every source node and every target node of two clusters, the worst verdict of each. */
  function byNode(details) {
    const { source, target } = details.dataset;
    const inside = paths.filter((path) => path.from.cluster === source && path.to.cluster === target && path.source_node && path.target_node);
    const order = Object.keys(kinds).sort((a, b) => rank(a) - rank(b));
    const worst = new Map();
    for (const path of inside) {
      const key = `${path.source_node}\n${path.target_node}`;
      const known = worst.get(key);
      if (known === undefined || order.indexOf(path.verdict) < order.indexOf(known)) worst.set(key, path.verdict);
    }
    const natural = new Intl.Collator("en", { numeric: true });
    const names = (field) => [...new Set(inside.map((path) => path[field]))].sort(natural.compare);
    const rows = names("source_node"), columns = names("target_node");
    const head = make("tr", {}, make("td"), ...columns.map((name) => make("th", { scope: "col" }, name)));
    const body = rows.map((from) => make("tr", {}, make("th", { scope: "row" }, from), ...columns.map((to) => {
      const word = worst.get(`${from}\n${to}`);
      if (word === undefined) return make("td");
      const label = `${from} to ${to}: ${word}`;
      const link = make("a", { class: `letter ${kinds[word].tone}`, href: "#paths", title: label, "aria-label": label }, kinds[word].letter);
      link.addEventListener("click", () => choose({ words: `${from} ${to}`, pair: `${source} → ${target}` }));
      return make("td", {}, link);
    })));
    details.querySelector(".scroll").append(make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
  }

  const rank = (word) => ["bad", "unsure", "design", "good"].indexOf(kinds[word].tone);

  function listen() {
    let waiting = 0;
    words.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => { filter.words = words.value.trim(); refresh(); }, 120);
    });
    verdict.addEventListener("change", () => { filter.verdict = verdict.value; refresh(); });
    pair.addEventListener("change", () => { filter.pair = pair.value; refresh(); });
    cell.addEventListener("click", () => { filter.cell = ""; refresh(); words.focus(); });
    byId("filters").addEventListener("submit", (event) => event.preventDefault());
    more.addEventListener("click", () => {
      const before = shown;
      show(STEP);
      byId("list").children[before]?.firstElementChild.focus();
    });
    document.addEventListener("click", (event) => {
      const link = event.target instanceof Element && event.target.closest("a[data-cell], a[data-path]");
      if (!link) return;
      event.preventDefault();
      const hash = link.dataset.cell ? `#cell=${link.dataset.cell}` : `#path=${encodeURIComponent(link.dataset.path)}`;
      if (location.hash === hash) follow();
      else location.hash = hash;
    });
    window.addEventListener("hashchange", follow);
    for (const details of document.querySelectorAll(".by-node"))
      details.addEventListener("toggle", () => details.open && !details.querySelector("table") && byNode(details));
  }

  function offer() {
    const option = (value, text) => make("option", { value }, text);
    const counts = Map.groupBy ? Map.groupBy(paths, (path) => path.verdict) : new Map();
    if (paths.some(isBad)) verdict.append(option("bad", "not as expected"));
    for (const word of Object.keys(kinds)) {
      const number = counts.get(word)?.length ?? paths.filter((path) => path.verdict === word).length;
      if (number) verdict.append(option(word, `${word} (${number})`));
    }
    for (const name of [...new Set(paths.map((path) => path.pair))].sort()) pair.append(option(name, name));
    byId("filters").hidden = false;
  }

  unpack().then(() => {
    offer();
    listen();
    refresh();
    follow();
    document.documentElement.dataset.ready = "yes";
  }, (error) => {
    byId("number").textContent = `This browser cannot unpack the list of paths (${error}); results.json has the same as data.`;
  });
})();
