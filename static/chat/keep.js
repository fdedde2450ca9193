// Long conversations, versions, the estimate beside the message box, and shortcuts. Without it all but the last two work.
"use strict";

{
  const messages = document.querySelector("#messages");
  const box = () => document.querySelector("#prompt");

  // Older messages come in above what is being read: it stays where it is on the screen.

  // To the end before htmx looks what is in sight: the link to the earlier ones is at the top.
  if (messages && !location.hash) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });

  let kept = null;

  const remember = () => {
    const first = messages.querySelector("article");
    kept = first && { first, top: first.getBoundingClientRect().top };
  };

  const restore = () => {
    if (kept?.first.isConnected) scrollBy({ top: kept.first.getBoundingClientRect().top - kept.top, behavior: "instant" });
    kept = null;
  };

  // What the message takes of the allowance: UTF-8 bytes over four, as the server counts.

  const counter = new TextEncoder();
  const round = (tokens) => (tokens < 100 ? tokens : Number(tokens.toPrecision(2)));

  const estimate = () => {
    const tally = document.querySelector("#tally");
    if (!tally || !box()) return;
    const { history, output, left, says, over } = tally.dataset;
    const text = box().value.trim();
    const tokens = Number(history) + Math.ceil(counter.encode(text).length / 4) + 4;
    const tooMuch = left !== "" && tokens + Math.min(256, Number(output)) > Number(left);
    const shown = round(tokens).toLocaleString(document.documentElement.lang);
    const words = text ? (tooMuch ? over : says).replace("%s", shown) : "";
    if (tally.textContent !== words) tally.textContent = words;
    tally.classList.toggle("over", Boolean(text) && tooMuch);
  };

  // Shortcuts

  const writes = (element) => element.matches?.("input, textarea, select, [contenteditable]");

  const shortcut = (event) => {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && event.shiftKey && key === "o") return () => location.assign("/");
    if (command && !event.shiftKey && !event.altKey && key === "k") return () => location.assign("/search/");
    if (event.shiftKey && event.key === "Escape" && box()) return () => box().focus();
    if (event.key === "?" && !command && !event.altKey && !writes(event.target)) {
      const sheet = document.querySelector("#keys");
      if (sheet && !sheet.open) return () => sheet.showModal();
    }
    return null;
  };

  document.addEventListener("keydown", (event) => {
    const act = event.isComposing ? null : shortcut(event);
    if (!act) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    act();
  }, true);

  if (messages) {
    document.addEventListener("htmx:before:swap", ({ target }) => {
      if (target.matches?.(".older")) remember();
    });
    document.addEventListener("htmx:after:swap", () => {
      if (kept) restore();
      estimate();
    });
    document.addEventListener("version-shown", (event) => {
      const article = document.getElementById(event.detail.id);
      article?.querySelector(".versions button")?.focus({ preventScroll: true });
    });
    document.addEventListener("input", ({ target }) => { if (target === box()) estimate(); });
    document.addEventListener("click", () => setTimeout(estimate));
    addEventListener("load", estimate);
  }
}
