// Before anything is painted: the theme that was chosen here, where one was.
"use strict";
(() => {
  let kept = null;
  try {
    kept = localStorage.getItem("demur-theme");
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
  if (kept === "dark" || kept === "light") {
    document.documentElement.dataset.theme = kept;
  }
  document.documentElement.classList.add("js");
})();
