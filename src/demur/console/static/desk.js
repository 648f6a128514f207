// What every page gets: the theme switch, the token on htmx requests, relative times, keys that lead to pages.
"use strict";
(() => {
  const root = document.documentElement;

  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-Demur-Token"] = meta("demur-token");
  });
})();
