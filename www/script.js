// Everything here is an extra: the pages read well without it.
"use strict";

const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (className) made.className = className;
  return made;
};

/* Commands name the address this page really came from, if that is safe to paste. */
const base = new URL(".", location.href);
const plain = /^[\w.\-:\[\]]+$/.test(location.host) && /^[\w\/.\-]*$/.test(base.pathname);
if (location.protocol === "http:" && plain) {
  const name = location.hostname.replace(/[\[\]]/g, "");
  const port = location.port || "80";
  for (const code of document.querySelectorAll(".cmd code")) {
    code.textContent = code.textContent
      .replaceAll("http://127.0.0.1:8000/", base.href)
      .replaceAll("nc 127.0.0.1 8000", `nc ${name} ${port}`)
      .replaceAll("127.0.0.1:8000", location.host)
      .replaceAll("= :8000", `= :${port}`)
      .replaceAll("-iTCP:8000", `-iTCP:${port}`)
      .replace(/(?<![A-Z])(GET|HEAD) \/(?=\S* HTTP)/g, `$1 ${base.pathname}`);
  }
}

/* Copy buttons. */
const copy = async (source) => {
  try {
    await navigator.clipboard.writeText(source.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(source);   // no permission: select, to copy by hand
    return false;
  }
};
for (const source of document.querySelectorAll(".cmd code, .code[class*=of-] .name + pre code")) {
  const button = element("button", "copy", "copy");
  button.type = "button";
  button.setAttribute("aria-live", "polite");
  button.setAttribute("aria-label", source.closest(".cmd") ? "copy command" : "copy program");
  button.addEventListener("click", async () => {
    button.textContent = (await copy(source)) ? "copied" : "selected";
    setTimeout(() => { button.textContent = "copy"; }, 1600);
  });
  (source.closest(".cmd") || source.closest(".code").querySelector(".name")).append(button);
}

/* Blocks that scroll can be reached with the keyboard. */
for (const block of document.querySelectorAll("pre")) {
  if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
}

/* start: how the files of this page travelled. */
const travel = document.getElementById("travel");
if (travel && performance.getEntriesByType) {
  addEventListener("load", () => setTimeout(() => {
    const page = performance.getEntriesByType("navigation");
    const seen = new Map();
    for (const entry of [...page, ...performance.getEntriesByType("resource")]) {
      if (!seen.has(entry.name)) seen.set(entry.name, entry);
    }
    const entries = [...seen.values()];
    if (!entries.length) return;
    const opened = (entry) =>
      entry.connectEnd > entry.connectStart || entry.connectStart > entry.fetchStart;
    for (const entry of entries) {
      const row = element("tr");
      const path = new URL(entry.name).pathname;
      const unasked = entry.transferSize === 0;
      const unchanged = entry.responseStatus === 304 || entry.decodedBodySize === 0 ||
        entry.transferSize < entry.encodedBodySize;
      row.append(
        element("td", path),
        element("td", unasked ? "kept" : unchanged ? "304" : `${entry.decodedBodySize} bytes`, "num"),
        unasked ? element("td", "not needed")
          : opened(entry) ? element("td", "opened for it", "now") : element("td", "already open"));
      document.getElementById("travel-rows").append(row);
    }
    const protocol = page.length ? page[0].nextHopProtocol : "";
    document.getElementById("travel-line").textContent =
      `This page is ${entries.length} files from ${location.host}` + (protocol ? `, and the protocol was ${protocol}.` : ".");
    travel.hidden = false;
  }, 100));
}

/* try it: ask the server. */
const ask = document.getElementById("ask");
if (ask) {
  ask.hidden = false;
  const asked = document.getElementById("asked");
  const answered = document.getElementById("answered");
  const buttons = [...ask.querySelectorAll("button[data-path]")];
  let turn = 0;

  const send = async (button) => {
    const mine = ++turn;
    const { path, method, field } = button.dataset;
    const url = new URL(path, location.href);
    for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
    answered.textContent = "…";
    try {
      const headers = {};
      if (field) {
        const colon = field.indexOf(":");
        let value = field.slice(colon + 1).trim();
        if (value === "*etag*") {
          const first = await fetch(url, { method: "HEAD", cache: "no-store" });
          value = first.headers.get("etag");
          if (!value) throw new Error("the server sent no ETag to compare with");
        }
        headers[field.slice(0, colon)] = value;
      }
      const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
      if (mine !== turn) return;
      asked.replaceChildren(element("b", `${method} ${url.pathname} HTTP/1.1`),
        lines.length ? "\n" + lines.join("\n") : "");
      const response = await fetch(url, { method, headers, cache: "no-store" });
      const content = await response.text();
      if (mine !== turn) return;
      const fields = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      answered.replaceChildren(
        element("b", `${response.status} ${response.statusText}`),
        `\n${fields}\n\n`,
        content || element("i", "(no content)"));
    } catch (problem) {
      if (mine === turn) answered.textContent = `No answer: ${problem.message}`;
    }
  };
  for (const button of buttons) button.addEventListener("click", () => send(button));
}

/* 404: name what was asked for. */
const target = document.getElementById("target");
if (target) target.replaceChildren(element("code", location.pathname.slice(0, 200)));
