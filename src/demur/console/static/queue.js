// The queue: moving by keys, selecting, views of one's own, and lines that come and go while somebody looks.
"use strict";
(() => {
  const { announce, kept, listen } = window.demur;
  const queue = () => document.getElementById("queue");
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const link = (row) => row.querySelector("[data-open]");
  const current = () => document.activeElement?.closest?.("[data-row]");

  // ---- keys ----

  const move = (by) => {
    const all = rows();
    if (!all.length) return;
    const at = all.indexOf(current());
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
    link(next).focus();
    next.scrollIntoView({ block: "nearest" });
  };

  const open = (doing) => {
    const row = current();
    if (row) location.href = link(row).href + (doing ? `?do=${doing}` : "");
    return Boolean(row);
  };

  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    o: () => open(""),
    a: () => open("approve"),
    r: () => open("reject"),
    d: () => open("reject"),
    x: () => current()?.querySelector("input[name=review]")?.click(),
    "/": () => document.getElementById("q").focus(),
  };
  document.addEventListener("demur:key", (event) => {
    const act = KEYS[event.detail];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // An address says what is chosen and leaves out what is not.
  document.addEventListener("htmx:configRequest", (event) => {
    const { elt, parameters } = event.detail;
    if (elt?.id !== "filters") return;
    for (const name of Object.keys(parameters)) {
      if (parameters[name] === "") delete parameters[name];
    }
  });

  // ---- selecting ----

  const count = () => {
    const bar = document.querySelector("[data-bulk]");
    if (!bar) return;
    const chosen = document.querySelectorAll("input[name=review]:checked").length;
    bar.classList.toggle("is-open", chosen > 0);
    const told = bar.querySelector("[data-count]");
    told.hidden = false;
    told.textContent = `${chosen} selected.`;
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches?.("input[name=review]")) count();
  });
  count();

  // ---- what changes while somebody looks ----

  let before = null;
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target?.id !== "queue") return;
    before = {
      ids: new Set(rows().map((row) => row.dataset.row)),
      chosen: new Set([...document.querySelectorAll("input[name=review]:checked")].map((box) => box.value)),
      focused: current()?.dataset.row,
      isLine: document.activeElement?.matches?.("[data-open]"),
      total: document.getElementById("found")?.textContent,
    };
  });
  const restore = () => {
    if (!before || !queue()) return;
    const { ids, chosen, focused, isLine, total } = before;
    before = null;
    for (const row of rows()) {
      const box = row.querySelector("input[name=review]");
      if (box && chosen.has(row.dataset.row)) box.checked = true;
      if (ids.size && !ids.has(row.dataset.row)) row.classList.add("is-new");
      if (row.dataset.row === focused) (isLine ? link(row) : (box ?? link(row))).focus({ preventScroll: true });
    }
    count();
    const found = document.getElementById("found");
    // Whoever read a line that is gone is not thrown to the top of the page.
    if (focused && !document.querySelector(`[data-row="${CSS.escape(focused)}"]`)) found?.focus({ preventScroll: true });
    if (found && found.textContent !== total) announce(found.textContent);
  };
  // At once after the swap, so that no key is pressed on nothing; later where the swapped element heard nothing of it.
  document.addEventListener("htmx:afterSwap", restore);
  document.addEventListener("htmx:afterSettle", restore);

  let news = [];
  let due = 0;
  const refresh = () => {
    due = 0;
    const told = news;
    news = [];
    if (!window.htmx) {
      announce("The queue has changed. Load the page again to see it.");
      return;
    }
    const opened = told.filter((what) => what === "opened").length;
    const others = told.filter((what) => what !== "opened" && what !== "back").length;
    const words = [];
    if (opened) words.push(`${opened} new ${opened === 1 ? "review" : "reviews"}`);
    if (others) words.push(`${others} changed`);
    window.htmx
      .ajax("GET", location.pathname + location.search, { target: "#queue", select: "#queue", swap: "outerHTML" })
      .then(() => words.length && announce(`${words.join(", ")}.`));
  };
  listen(
    (what) => {
      news.push(what);
      due ||= setTimeout(refresh, 700);
    },
    (isLive) => {
      document.documentElement.classList.toggle("is-live", isLive);
      const told = document.getElementById("live-state");
      told.hidden = false;
      told.textContent = isLive ? "Live" : "Not live; trying again";
    },
  );

  // ---- views of one's own ----

  const views = document.getElementById("views");
  const place = `demur-views:${views.dataset.own}`;
  const read = () => {
    try {
      const found = JSON.parse(kept.get(place) ?? "[]");
      return Array.isArray(found) ? found.filter((one) => typeof one?.name === "string" && typeof one?.query === "string") : [];
    } catch {
      return [];
    }
  };
  const draw = () => {
    for (const one of views.querySelectorAll(".own, .save")) one.remove();
    for (const { name, query } of read()) {
      const item = document.createElement("li");
      item.className = "own";
      const chip = document.createElement("a");
      chip.className = "chip";
      chip.href = `/desk?${query}`;
      chip.textContent = name;
      if (location.search === `?${query}`) chip.setAttribute("aria-current", "true");
      const drop = document.createElement("button");
      drop.type = "button";
      drop.className = "chip";
      drop.setAttribute("aria-label", `Forget the view ${name}`);
      drop.textContent = "\u00d7";
      drop.addEventListener("click", () => {
        kept.set(place, JSON.stringify(read().filter((other) => other.name !== name)));
        draw();
        announce(`The view ${name} is forgotten.`);
      });
      item.append(chip, drop);
      views.append(item);
    }
    const query = location.search.slice(1);
    const isKnown = [...views.querySelectorAll("a")].some((one) => new URL(one.href).search === location.search);
    if (!query || isKnown || query.includes("after=")) return;
    const item = document.createElement("li");
    item.className = "save";
    const button = document.createElement("button");
    button.type = "button";
    button.className = "chip";
    button.textContent = "+ Save this view";
    button.addEventListener("click", () => document.getElementById("view").showModal());
    item.append(button);
    views.append(item);
  };
  document.getElementById("view-form")?.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("data-cancel")) return;
    const name = document.getElementById("view-name").value.trim().slice(0, 40);
    if (!name) return;
    const others = read().filter((one) => one.name !== name);
    kept.set(place, JSON.stringify([...others, { name, query: location.search.slice(1) }].slice(-12)));
    draw();
    announce(`The view ${name} is saved in this browser.`);
  });
  document.addEventListener("htmx:pushedIntoHistory", draw);
  draw();
})();
