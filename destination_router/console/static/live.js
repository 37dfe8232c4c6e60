// What the page Live does beside showing what comes: pause, clear, one row for each message.
(() => {
  "use strict";
  const MOST = 500;
  const MOST_CLEARED = 5000;
  const rows = document.getElementById("rows");
  const pause = document.getElementById("pause");
  const state = document.getElementById("state");
  const nothing = document.getElementById("nothing");
  const cleared = new Set(); // ids of rows that stay away, whatever still happens to them
  let paused = false;
  let kept = []; // rows that came while it was paused, the newest first

  const say = (words, kind) => {
    state.textContent = words;
    state.className = `pill ${kind}`;
  };
  // One row for each message, the newest that came; none that was cleared; so many in all.
  const tidy = (all) => {
    const seen = new Set(cleared);
    return all.filter((row) => {
      const shown = !row.id || !seen.has(row.id);
      seen.add(row.id);
      return shown;
    }).slice(0, MOST);
  };
  const draw = () => {
    const all = [...rows.children];
    const left = new Set(tidy(all));
    for (const row of all) {
      if (!left.has(row)) {
        row.remove();
      }
    }
    nothing.hidden = rows.children.length > 0;
  };
  const rowsOf = (html) => {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    return [...holder.content.children];
  };

  document.getElementById("controls").hidden = false;
  document.getElementById("still").hidden = true;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(paused));
    say(paused ? "paused" : "live", paused ? "warn" : "good");
    rows.prepend(...kept);
    kept = [];
    draw();
  });
  document.getElementById("clear").addEventListener("click", () => {
    for (const row of rows.children) {
      cleared.add(row.id);
    }
    for (const id of cleared) {
      if (cleared.size <= MOST_CLEARED) {
        break;
      }
      cleared.delete(id);
    }
    rows.replaceChildren();
    draw();
  });
  document.addEventListener("htmx:sse:before:message", (event) => {
    if (paused) {
      kept = tidy([...rowsOf(event.detail.message.data), ...kept]);
      if (kept.length > 0) {
        const many = kept.length === MOST ? `${MOST} or more` : kept.length;
        say(`paused, ${many} waiting`, "warn");
      }
      event.preventDefault();
      event.detail.cancelled = true;
    }
  });
  document.addEventListener("htmx:sse:after:message", draw);
  document.addEventListener("htmx:sse:error", () => say("no connection", "bad"));
  document.addEventListener("htmx:sse:after:connection", () => {
    if (!paused) {
      say("live", "good");
    }
  });
})();
