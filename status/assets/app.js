// Keeps the page current: each event makes it fetch itself again, at most twice a second, and swap the content.
"use strict";
(() => {
  const lost = document.getElementById("lost");
  let timer = 0, busy = false, again = false;

  const opened = () => new Set([...document.querySelectorAll("details[open]")].map((d) => d.closest("li")?.id));

  async function refresh() {
    timer = 0;
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch("/", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      const open = opened(), focus = document.activeElement?.closest("li")?.id;
      for (const d of next.querySelectorAll("details")) d.open = open.has(d.closest("li")?.id);
      document.title = next.title;
      document.querySelector("main").replaceWith(document.adoptNode(next.querySelector("main")));
      if (focus) document.getElementById(focus)?.querySelector("summary")?.focus({ preventScroll: true });
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
    busy = false;
    if (again) { again = false; soon(); }
  }

  function soon() { timer ||= setTimeout(refresh, 500); }

  const feed = new EventSource("/events");
  feed.addEventListener("retraind", soon);
  feed.onopen = soon;
  feed.onerror = () => { lost.hidden = false; };
  setInterval(soon, 30000); // "4 min ago" grows even when nothing happens
  const reveal = () => {
    const details = document.getElementById(decodeURIComponent(location.hash.slice(1)))?.querySelector("details");
    if (details) details.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
