// What every page gets: the theme switch, relative times, keys that lead to pages, news of reviews as they happen.
// Everything here only improves pages that work without it.
"use strict";
(() => {
  const root = document.documentElement;
  const live = document.getElementById("live");
  const skew = Date.now() - Number(root.dataset.now || Date.now());

  const kept = {
    get(name) {
      try {
        return localStorage.getItem(name);
      } catch {
        return null; // storage may be forbidden
      }
    },
    set(name, value) {
      try {
        localStorage.setItem(name, value);
        return true;
      } catch {
        return false;
      }
    },
  };

  // ---- said aloud ----

  const announce = (text) => {
    live.textContent = "";
    setTimeout(() => (live.textContent = text), 50);
  };

  // ---- times ----

  const span = (seconds) => {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min`;
    const two = (big, small, first, second) => (small && big < 10 ? `${big} ${first} ${small} ${second}` : `${big} ${first}`);
    if (whole < 86400) return two(Math.floor(whole / 3600), Math.floor(whole / 60) % 60, "h", "min");
    return two(Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, "d", "h");
  };

  const urgency = (seconds) => (seconds <= 0 ? "over" : seconds < 900 ? "urgent" : seconds < 7200 ? "soon" : "calm");

  const tick = () => {
    const now = Date.now() - skew;
    for (const one of document.querySelectorAll("time[data-until]")) {
      const left = (Number(one.dataset.until) - now) / 1000;
      one.textContent = left > 0 ? `in ${span(left)}` : `${span(-left)} ago`;
      one.classList.remove("over", "urgent", "soon", "calm");
      one.classList.add(urgency(left));
    }
    for (const one of document.querySelectorAll("time[data-since]")) {
      one.textContent = `${span((now - Number(one.dataset.since)) / 1000)} ago`;
    }
  };
  setInterval(tick, 10000);

  // ---- theme ----

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const switches = document.querySelectorAll("[data-theme-switch]");
  const label = () => {
    for (const one of switches) one.textContent = theme() === "dark" ? "Light" : "Dark";
  };
  for (const one of switches) {
    one.hidden = false;
    one.addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      kept.set("demur-theme", root.dataset.theme);
      label();
    });
  }
  label();

  // ---- keys ----

  const help = document.getElementById("keys");
  const single = document.getElementById("single-keys");
  if (single) {
    single.checked = kept.get("demur-keys") !== "off";
    single.addEventListener("change", () => kept.set("demur-keys", single.checked ? "on" : "off"));
  }
  const showHelp = () => {
    if (help && !help.open) help.showModal();
  };
  for (const one of document.querySelectorAll("[data-help]")) {
    one.hidden = !help;
    one.addEventListener("click", showHelp);
  }

  const isTyping = (target) =>
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox]):not([type=radio])"));

  let begun = 0; // when `g` was pressed
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key !== "Escape" && (isTyping(event.target) || kept.get("demur-keys") === "off")) return;
    if (begun && event.timeStamp - begun < 1500) {
      begun = 0;
      const page = document.querySelector(`.nav a[data-key="${CSS.escape(event.key)}"]`);
      if (page) {
        event.preventDefault();
        page.click();
        return;
      }
    }
    if (event.key === "g") {
      begun = event.timeStamp;
      return;
    }
    if (event.key === "?") {
      event.preventDefault();
      showHelp();
      return;
    }
    const pressed = new CustomEvent("demur:key", { detail: event.key, cancelable: true });
    if (!document.dispatchEvent(pressed)) {
      event.preventDefault();
      return;
    }
    const up = document.querySelector("[data-up]");
    if (up && (event.key === "u" || event.key === "Escape") && !isTyping(event.target)) {
      event.preventDefault();
      up.click();
    } else if (event.key === "Escape" && isTyping(event.target)) {
      event.preventDefault(); // it would empty a search
      event.target.blur();
    }
  });

  // ---- news of reviews ----

  const NEWS = ["opened", "ruled", "expired", "cancelled", "assigned", "released", "escalated", "superseded"];
  const listen = (hear, tell) => {
    let source = null;
    const open = () => {
      source = new EventSource("/reviews/events");
      source.addEventListener("open", () => tell(true));
      source.addEventListener("error", () => {
        tell(false);
        if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again itself
        source = null;
        setTimeout(() => document.hidden || source || open(), 15000);
      });
      for (const what of NEWS) {
        source.addEventListener(`governance.review.${what}`, (event) => {
          try {
            hear(what, JSON.parse(event.data));
          } catch {
            // Something that is no news.
          }
        });
      }
    };
    const close = () => {
      source?.close();
      source = null;
    };
    // A browser holds few connections to one host; pages that nobody looks at keep none.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) {
        close();
      } else if (!source) {
        open();
        hear("back", {});
      }
    });
    addEventListener("pagehide", close);
    if (!document.hidden) open();
  };

  // ---- htmx ----

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-Demur-Token"] = document.querySelector('meta[name="demur-token"]')?.content ?? "";
  });
  document.addEventListener("htmx:afterSwap", tick);
  document.addEventListener("htmx:sendError", () => announce("The service cannot be reached."));
  document.addEventListener("htmx:responseError", () => announce("That could not be done."));

  window.demur = Object.freeze({ announce, kept, listen, tick });
})();
