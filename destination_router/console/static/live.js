// What the page Live does beside showing what comes: pause, clear, one row for each message.
(() => {
  "use strict";
  const MOST = 500;
  const rows = document.getElementById("rows");
  const pause = document.getElementById("pause");
  const state = document.getElementById("state");
  const nothing = document.getElementById("nothing");
  let paused = false;
  let waiting = 0;

  const say = (words, kind) => {
    state.textContent = words;
    state.className = `pill ${kind}`;
  };
  document.getElementById("controls").hidden = false;
  document.getElementById("still").hidden = true;
  pause.addEventListener("click", () => {
    if (paused) {
      location.reload();
      return;
    }
    paused = true;
    pause.textContent = "Go on";
    pause.setAttribute("aria-pressed", "true");
    say("paused", "warn");
  });
  document.getElementById("clear").addEventListener("click", () => {
    rows.replaceChildren();
    nothing.hidden = false;
  });
  document.addEventListener("htmx:sse:before:message", (event) => {
    if (paused) {
      waiting += 1;
      say(`paused, ${waiting} waiting`, "warn");
      event.preventDefault();
      event.detail.cancelled = true;
    }
  });
  document.addEventListener("htmx:sse:after:message", () => {
    nothing.hidden = true;
    const seen = new Set();
    for (const row of [...rows.children]) {
      if (row.id && seen.has(row.id)) {
        row.remove();
      }
      seen.add(row.id);
    }
    while (rows.children.length > MOST) {
      rows.lastElementChild.remove();
    }
  });
  document.addEventListener("htmx:sse:error", () => say("no connection", "bad"));
  document.addEventListener("htmx:sse:after:connection", () => {
    if (!paused) {
      say("live", "good");
    }
  });
})();
