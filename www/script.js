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
      .replaceAll("http_by_hand.py", port === "8000" ? "http_by_hand.py" : `http_by_hand.py ${port}`)
      .replaceAll("http://127.0.0.1:8000/", base.href)
      .replaceAll("nc 127.0.0.1 8000", `nc ${name} ${port}`)
      .replaceAll("127.0.0.1:8000", location.host)
      .replaceAll("= :8000", `= :${port}`)
      .replaceAll("-iTCP:8000", `-iTCP:${port}`)
      .replace(/(?<![A-Z])(GET|HEAD) \/(?=\S* HTTP)/g, `$1 ${base.pathname}`);
  }
}

/* A command breaks between its words, not after a hyphen within an option. */
for (const code of document.querySelectorAll(".cmd code")) {
  const parts = code.textContent.split(/(\s+)/);
  code.replaceChildren(...parts.map((part, at) => at % 2 ? part : element("span", part)));
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
    /* A connection kept open, one opened ahead and one opened within a tick of the browser's clock look alike. */
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
        element("td", unasked ? "cached" : unchanged ? "304" : `${entry.decodedBodySize} bytes`, "num"),
        unasked ? element("td", "not needed")
          : opened(entry) ? element("td", "opened", "now") : element("td", "no wait"));
      document.getElementById("travel-rows").append(row);
    }
    const protocol = page.length ? page[0].nextHopProtocol : "";
    document.getElementById("travel-line").textContent =
      `This page is ${entries.length} files from ${location.host}` + (protocol ? `, and the protocol was ${protocol}.` : ".");
    travel.hidden = false;
  }, 100));
}

/* A trace: rows of time, event, and the lines below. */
const row = (time, what, below = []) => {
  const made = element("li");
  made.append(element("span", time), " ", element("b", what));
  if (below.length) {
    const sides = { ">": "of-client", "<": "of-server", "!": "of-server", "=": "note" };
    const lines = below.flatMap((line) => ["\n", element("i", line, sides[line[0]])]).slice(1);
    const block = element("pre");
    block.append(...lines);
    made.append(block);
  }
  return made;
};

/* tcp: the client's steps, as this browser took them for this page. */
const [navigation] = performance.getEntriesByType ? performance.getEntriesByType("navigation") : [];
const yours = document.getElementById("yours");
if (yours && navigation && location.protocol === "http:") {
  addEventListener("load", () => setTimeout(() => {
    const { fetchStart, domainLookupStart, domainLookupEnd, connectStart, connectEnd } = navigation;
    const { requestStart, responseStart, responseEnd, encodedBodySize, transferSize } = navigation;
    if (!transferSize) return;   // from the browser's own cache: no request was sent
    const at = (moment) => `${(moment - fetchStart).toFixed(2)} ms`;
    const isNew = connectEnd > connectStart;
    const steps = {
      look: domainLookupEnd > domainLookupStart
        ? [row(at(domainLookupStart), `look up ${location.hostname}`)] : [],
      connect: isNew
        ? [row(at(connectStart), `connect ${location.host}`), row(at(connectEnd), "connected")]
        : [row(at(connectStart), "no wait: the connection was open already, or too quick to measure")],
      send: [row(at(requestStart), `send GET ${location.pathname}`)],
      receive: [row(at(responseStart), "recv: the first byte is here"),
        row(at(responseEnd), transferSize < encodedBodySize ? "the last byte: 304, the cached copy is good"
          : `the last byte of ${encodedBodySize} of content`)],
    };
    for (const slot of document.querySelectorAll("[data-browser]")) {
      const rows = steps[slot.dataset.browser];
      if (!rows.length) continue;
      const list = element("ol", "", "trace browser");
      list.setAttribute("aria-label", "What your browser did");
      list.append(...rows);
      slot.after(list);
    }
    yours.hidden = false;
  }, 100));
}

/* Live: the inspector's events of this page's own request replace the recording. */
const sentences = {
  socket: "socket {family}, {type}",
  bind: "bind {address}",
  listen: "listen {backlog} at {address}",
  accept: "accept",
  wait: "wait for {for}, at most {seconds} s",
  timeout: "timeout after {seconds} s of waiting for {for}",
  evict: "evict while it waits for {for}: another client needs the connection",
  recv: "recv {octets}",
  parse: "parse {method} {target}",
  content: "content {octets}, complete",
  stat: "stat {name}: {kind}, {octets} bytes",
  lstat: "lstat {name}: {kind}, {octets} bytes",
  cache: "cache hit {name}, {octets} bytes",
  memo: "memo {path}: found already in this tick",
  unverified: "unverified {name}: its bytes are not verified as the file in {coding}",
  open: "open {name}",
  read: "read {octets}",
  scandir: "scandir {name}: {entries} entries",
  refuse: "refuse {status} {phrase}",
  send: "send {octets}",
  sendfile: "sendfile {octets}",
  shutdown: "shutdown: our side has ended",
  reset: "setsockopt SO_LINGER: close will send a reset",
  close: "close",
  cut: "cut short: the server stops",
  lost: "lost {events} events: they came faster than they could be written",
};
const tcpLines = [
  "round trip {round_trip_us} ± {round_trip_variation_us} µs, least {least_round_trip_us}; retransmits {retransmits}; acknowledged {octets_acknowledged}",
  "congestion window {congestion_window_segments} × {segment_octets}; peer's window {peer_window_octets}, waited for {limited_by_window_us} µs",
];
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
const filled = (sentence, facts, show = String) =>
  sentence.replace(/\{(\w+)\}/g, (_, name) => show(facts[name]));
const elapsed = (microseconds) => microseconds < 1000 ? `${microseconds} µs`
  : microseconds < 1e6 ? `${(microseconds / 1000).toFixed(3)} ms` : `${(microseconds / 1e6).toFixed(3)} s`;

const rowOf = (event) => {
  let what = filled(sentences[event.event] || event.event, event);
  if (event.error) {
    const of = event.name || (event.event === "bind" ? event.address : "");
    what = `${event.event}${of && " "}${of}: ${event.error}, ${event.message}`;
  }
  else if (event.event === "recv" && event.octets === 0) what = "recv 0: the peer has ended its side";
  else if (event.event === "close" && event.address) what = `close ${event.address}`;
  const mark = event.event === "send" ? "<" : ">";
  const below = event.reason ? [`! ${event.reason} (${event.section})`] : [];
  below.push(...(event.head || []).map((line) => `${mark} ${line}`.trimEnd()));
  if (event.event === "send" && event.content) below.push(`< (${grouped(event.content)} bytes of content)`);
  if (event.tcp) below.push(...tcpLines.map((line) => `= ${filled(line, event.tcp, grouped)}`));
  return row(elapsed(event.microseconds), what, below);
};

/* The exchanges of a connection: each after the first begins with the wait for a request. */
const exchangesOf = (events) => {
  const exchanges = [[]];
  for (const event of events) {
    if (event.event === "wait" && event.for === "a request") exchanges.push([]);
    exchanges[exchanges.length - 1].push(event);
  }
  return exchanges;
};

const live = document.getElementById("live");
if (live && window.EventSource && location.protocol === "http:") {
  const recent = new Map();   // the events of each connection, newest connections only
  const note = document.getElementById("live-note");
  const watch = document.getElementById("watch");
  const slots = [...document.querySelectorAll("[data-live]")];
  let wanted = { path: location.pathname, time: performance.timeOrigin + (navigation ? navigation.requestStart : 0) };
  let isDue = false;

  /* Other visitors may request the same path: match this browser's User-Agent and the time of its request. */
  const distance = (event) => {
    const isOurs = event.event === "parse" && event.target.split("?")[0] === wanted.path &&
      (event.head || []).some((line) => line === `User-Agent: ${navigator.userAgent}`);
    return isOurs ? Math.abs(Date.parse(event.time) - wanted.time) : Infinity;
  };
  const show = () => {
    isDue = false;
    let mine, at, least = 10_000;
    for (const events of recent.values()) {
      const exchanges = exchangesOf(events);
      exchanges.forEach((exchange, number) => {
        const away = Math.min(...exchange.map(distance));
        if (away < least) [mine, at, least] = [exchanges, number, away];
      });
    }
    const ours = [...recent].find(([key]) => key.endsWith("/0"));
    /* The first events of a long connection may have been dropped. */
    const accepted = mine && mine[0].some((event) => event.event === "accept") ? mine[0] : [];
    const ended = mine && at < mine.length - 1 ? mine[mine.length - 1] : [];
    for (const slot of slots) {
      const { connection, exchange, calls } = slot.dataset;
      let events = [];
      if (connection === "0") events = ours ? ours[1] : [];
      else if (mine && exchange === "1") events = mine[at];
      else if (mine && exchange === "0") events = accepted;
      else if (mine && exchange === "-1") events = ended;
      else if (mine) events = at === 0 ? mine[at] : [...accepted, ...mine[at], ...ended];
      if (calls) events = events.filter((event) => calls.split(" ").includes(event.event));
      if (!events.length) continue;
      slot.replaceChildren(...events.map(rowOf));
      slot.classList.add("live-now");
      slot.closest(".message")?.removeAttribute("hidden");
    }
  };
  const receive = (message) => {
    const event = JSON.parse(message.data);
    const key = `${event.process}/${event.connection}`;
    if (!recent.has(key)) recent.set(key, []);
    recent.get(key).push(event);
    if (recent.get(key).length > 400) recent.get(key).shift();
    if (recent.size > 60) recent.delete([...recent.keys()].find((each) => !each.endsWith("/0")));
    if (!isDue) setTimeout(show, 60);
    isDue = true;
  };

  const inspector = () => {
    const link = element("a", "the inspector");
    link.href = "/.httpsock/";
    return link;
  };
  const begin = () => {
    const source = new EventSource("/.httpsock/events");
    source.onopen = () => {
      live.classList.add("on");
      watch.hidden = true;
      note.replaceChildren(element("b", "Live."), " The server reports each call it makes for you, as it happens. Load this page again, or see every connection in ", inspector(), ".");
      sessionStorage.setItem("live", "yes");
    };
    source.onmessage = receive;
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return;   // it reconnects by itself
      live.classList.remove("on");
      watch.hidden = false;
      sessionStorage.removeItem("live");
      note.replaceChildren(element("b", "Recorded."), " The inspector is off here. Start ", element("code", "python3 -m httpsock --inspect"), ", and");
    };
  };
  watch.addEventListener("click", begin);
  /* With --inspect the server sends Server-Timing: inspector with each page, to this machine only. */
  const isInspected = navigation && (navigation.serverTiming || []).some(({ name }) => name === "inspector");
  if (isInspected || location.hash === "#live" || sessionStorage.getItem("live")) begin();
  addEventListener("asked", (event) => { wanted = { path: event.detail, time: Date.now() }; });
  live.hidden = false;
}

/* try it: ask the server. */
const ask = document.getElementById("ask");
if (ask) {
  ask.hidden = false;
  const asked = document.getElementById("asked");
  const answered = document.getElementById("answered");
  const buttons = [...ask.querySelectorAll("button[data-path]")];
  let latest = 0;

  const send = async (button) => {
    const mine = ++latest;
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
      if (mine !== latest) return;
      asked.replaceChildren(element("b", `${method} ${url.pathname} HTTP/1.1`),
        lines.length ? "\n" + lines.join("\n") : "");
      dispatchEvent(new CustomEvent("asked", { detail: url.pathname }));
      const response = await fetch(url, { method, headers, cache: "no-store" });
      const content = await response.text();
      if (mine !== latest) return;
      const fields = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      answered.replaceChildren(
        element("b", `${response.status} ${response.statusText}`),
        `\n${fields}\n\n`,
        content || element("i", "(no content)"));
    } catch (problem) {
      if (mine === latest) answered.textContent = `No answer: ${problem.message}`;
    }
  };
  for (const button of buttons) button.addEventListener("click", () => send(button));
}

/* 404: show the requested path. */
const target = document.getElementById("target");
if (target) target.replaceChildren(element("code", location.pathname.slice(0, 200)));
