// One review: keys to its verdict and its neighbours, a reason that is not lost, and word when somebody else acts.
"use strict";
(() => {
  const { announce, listen } = window.demur;
  const find = (selector) => document.querySelector(selector);

  // ---- keys ----

  const go = (selector) => () => find(selector)?.click();
  const write = (id) => () => {
    const field = document.getElementById(id);
    if (field && !field.disabled) {
      field.focus();
      field.scrollIntoView({ block: "center" });
      return;
    }
    const why = document.getElementById("objection");
    if (why) {
      why.scrollIntoView({ block: "center" });
      announce(why.textContent);
    }
  };
  const KEYS = {
    a: write("approve-reason"),
    r: write("reject-reason"),
    d: write("reject-reason"),
    t: go("[data-take]:not([disabled])"),
    j: go("a[data-after]"),
    k: go("a[data-before]"),
  };
  document.addEventListener("demur:key", (event) => {
    const act = KEYS[event.detail];
    if (!act) return;
    event.preventDefault();
    act();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const form = event.target.closest?.("form[data-draft]");
    if (form) {
      event.preventDefault();
      form.requestSubmit();
    }
  });

  // ---- a reason survives a login that has ended ----

  for (const form of document.querySelectorAll("form[data-draft]")) {
    const field = form.querySelector("textarea");
    const place = `demur-draft:${form.dataset.draft}`;
    try {
      if (!field.value && !field.disabled) field.value = sessionStorage.getItem(place) ?? "";
      field.addEventListener("input", () => sessionStorage.setItem(place, field.value));
      if (field.disabled) sessionStorage.removeItem(place);
    } catch {
      // Storage may be forbidden.
    }
    form.addEventListener("submit", () => {
      // Twice is refused by the gate; the button need not invite it.
      for (const button of form.querySelectorAll("button")) button.setAttribute("aria-busy", "true");
    });
  }

  // ---- revealing ----

  const dialog = document.getElementById("reveal");
  for (const button of document.querySelectorAll("[data-reveal]")) {
    button.hidden = !dialog;
    button.addEventListener("click", () => {
      dialog.querySelector("input[name=path]").value = button.dataset.reveal;
      dialog.querySelector("[data-path]").textContent = button.dataset.reveal;
      dialog.showModal();
      dialog.querySelector("input[name=why]").focus();
    });
  }
  dialog?.querySelector("[data-close]").addEventListener("click", () => dialog.close());

  // ---- what others do meanwhile ----

  document.getElementById("refused")?.focus();
  const changed = document.getElementById("changed");
  const WORDS = {
    ruled: "Somebody ruled on this review.",
    expired: "The deadline has passed; this is denied.",
    cancelled: "Whoever asked has given this up.",
    assigned: "Somebody holds this review now.",
    released: "Nobody holds this review any more.",
    escalated: "This review is put before other people.",
    superseded: "The policies ask something else by now.",
  };
  listen(
    (what, news) => {
      if (news.review_id !== changed.dataset.review || !WORDS[what]) return;
      changed.hidden = false;
      changed.querySelector("[data-changed-words]").textContent = WORDS[what];
      announce(WORDS[what]);
    },
    () => {},
  );
})();
