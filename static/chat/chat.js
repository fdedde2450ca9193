// The page works without this script; with it, it is quicker to use.
"use strict";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const RUNNING = 'article:is([data-status="pending"], [data-status="streaming"])';
const chat = one("#chat");
const touch = matchMedia("(hover: none) and (pointer: coarse)");

// Drafts: one per person and conversation, in this browser only.

const drafts = {
  key: (form) => `draft:${chat.dataset.user}:${form.dataset.draft}`,
  save(form, text) {
    try {
      if (text.trim()) localStorage.setItem(this.key(form), text);
      else localStorage.removeItem(this.key(form));
    } catch { /* storage is full or switched off */ }
  },
  load(form) {
    try { return localStorage.getItem(this.key(form)) ?? ""; } catch { return ""; }
  },
  any() {
    try { return Object.keys(localStorage).some((key) => key.startsWith("draft:")); } catch { return false; }
  },
};

// Composer

const prompt = () => one("#prompt");
const sendButton = () => one("#composer-actions .go[form]");

function grow(box) {
  if (CSS.supports("field-sizing", "content")) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

function count(box) {
  const limit = Number(chat.dataset.limit);
  const length = box.value.length > limit * 0.8 ? [...box.value].length : 0;
  const counter = one("#count");
  counter.hidden = length < limit * 0.8;
  counter.classList.toggle("over", length > limit);
  const shown = new Intl.NumberFormat(document.documentElement.lang);
  counter.textContent = counter.hidden ? "" : `${shown.format(length)} / ${shown.format(limit)}`;
}

function typed(box) {
  grow(box);
  count(box);
  drafts.save(box.form, box.value);
}

function write(text) {
  const box = prompt();
  box.value = text;
  typed(box);
  box.focus();
  box.setSelectionRange(text.length, text.length);
}

function focusPrompt() {
  if (!touch.matches) prompt()?.focus({ preventScroll: true });
}

function asksToSend(event) {
  if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return false;
  if (event.ctrlKey || event.metaKey) return true;
  return Boolean(chat.dataset.enterSends) && !event.shiftKey && !event.altKey && !touch.matches;
}

function send(form) {
  const box = one("textarea", form);
  if (!box.value.trim()) return;
  if (form.id === "composer" && one(RUNNING)) return say(chat.dataset.wait);
  if (form.id === "composer" && sendButton()?.disabled) return;
  form.requestSubmit();
}

let sent = "";

function afterSending() {
  const box = prompt();
  if (box.value === sent) box.value = "";
  typed(box);
  if (box.form.dataset.draft !== "new") drafts.save({ dataset: { draft: "new" } }, "");
  focusPrompt();
  following = true;
  toEnd();
}

// What a screen reader hears: that an answer started and ended, not its words.

let wasRunning = false;

function say(text) {
  const status = one("#status");
  status.textContent = "";
  setTimeout(() => { status.textContent = text; }, 50);
}

function showThatWordsArrived() {
  const article = one('article[data-status="pending"]');
  if (article && one(".markdown > :not(:empty)", article)) article.dataset.status = "streaming";
}

function sayWhatChanged() {
  const isRunning = Boolean(one(RUNNING));
  if (isRunning === wasRunning) return;
  wasRunning = isRunning;
  if (isRunning) return say(chat.dataset.saidStarted);
  const last = all("article").at(-1);
  say(one(".outcome p", last)?.textContent.trim() || chat.dataset.saidFinished);
}

// Following the answer, until the reader scrolls up.

let following = true;
let lastTop = 0;
const page = document.documentElement;
const below = () => page.scrollHeight - innerHeight - scrollY;

function toEnd(behavior = "instant") {
  scrollTo({ top: page.scrollHeight, behavior });
}

function scrolled() {
  if (below() < 48) following = true;
  else if (scrollY < lastTop - 2) following = false;
  lastTop = scrollY;
  one("#jump").hidden = below() < 240 || !one("article");
}

function grown() {
  if (scrollY < lastTop - 2 && below() >= 48) following = false;
  if (following) toEnd();
  scrolled();
}

// Copying, also where the page has no secure origin.

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyThroughSelection(text);
  }
}

function copyThroughSelection(text) {
  const active = document.activeElement;
  const box = Object.assign(document.createElement("textarea"), { value: text, className: "unseen" });
  document.body.append(box);
  box.select();
  const done = document.execCommand("copy");
  box.remove();
  active?.focus({ preventScroll: true });
  return done;
}

async function copyFrom(button, text) {
  const done = await copy(text);
  say(done ? chat.dataset.saidCopied : chat.dataset.saidNotCopied);
  if (!done) return;
  const icon = one("use", button);
  icon.setAttribute("href", "#i-check");
  setTimeout(() => icon.setAttribute("href", "#i-copy"), 1600);
}

function sourceOf(article) {
  const source = one("template.source", article);
  return source ? source.content.textContent : one("template.editor", article).content.querySelector("textarea").value;
}

function addCopyButtons() {
  for (const head of all(".code-head:not(:has(button))")) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.dataset.do = "copy-code";
    button.setAttribute("aria-label", chat.dataset.copyCode);
    const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    icon.setAttribute("class", "i");
    icon.append(Object.assign(document.createElementNS("http://www.w3.org/2000/svg", "use")));
    icon.firstChild.setAttribute("href", "#i-copy");
    button.append(icon, chat.dataset.copy);
    head.append(button);
  }
}

// Waiting until a refusal has run out: a countdown, then the button works again.

const deadlines = new WeakMap();

function remaining(element) {
  if (!deadlines.has(element)) deadlines.set(element, Date.now() + Number(element.dataset.retryAfter) * 1000);
  return Math.max(0, Math.ceil((deadlines.get(element) - Date.now()) / 1000));
}

function duration(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const two = (number) => String(number).padStart(2, "0");
  if (hours) return `${hours}:${two(minutes)}:${two(seconds % 60)}`;
  return seconds < 60 ? `${seconds} s` : `${minutes}:${two(seconds % 60)}`;
}

function tick() {
  for (const button of all("button[data-retry-after]")) countDownOn(button);
  const refusal = one("#alert [data-retry-after]");
  const seconds = refusal ? remaining(refusal) : 0;
  const button = sendButton();
  if (button) button.disabled = seconds > 0;
  if (!refusal) return;
  one(".countdown", refusal).textContent = seconds ? duration(seconds) : chat.dataset.saidReady;
  if (seconds) return;
  refusal.removeAttribute("data-retry-after");
  say(chat.dataset.saidReady);
}

function countDownOn(button) {
  const seconds = remaining(button);
  let wait = one(".countdown", button);
  if (!wait) {
    wait = Object.assign(document.createElement("span"), { className: "countdown" });
    wait.setAttribute("aria-hidden", "true");
    button.append(wait);
  }
  wait.textContent = seconds ? duration(seconds) : "";
  button.disabled = seconds > 0;
  if (!seconds) button.removeAttribute("data-retry-after");
}

// Editing an earlier message in its place.

function startEditing(article) {
  stopEditing();
  const form = one("template.editor", article).content.firstElementChild.cloneNode(true);
  const box = one("textarea", form);
  following = false;
  article.append(form);
  article.classList.add("editing");
  htmx.process(form);
  grow(box);
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
}

function stopEditing() {
  const article = one("article.editing");
  if (!article) return;
  one("form.edit", article).remove();
  article.classList.remove("editing");
  one('[data-do="edit"]', article)?.focus();
}

// Faults between this page and the site.

function complain(kind) {
  one("#alert").replaceChildren(one(`#failure-${kind}`).content.cloneNode(true));
}

function clearComplaint(...codes) {
  for (const code of codes) one(`#alert [data-code="${code}"]`)?.remove();
}

function checkAnswer(event) {
  const { ctx } = event.detail;
  if (ctx.response.status < 400 || ctx.hx?.redirect || ctx.text.includes("data-code")) return;
  ctx.text = one("#failure-server").innerHTML;
  ctx.target = "#alert";
  ctx.swap = "innerHTML";
}

function connection(event, isLost) {
  const article = event.target.closest?.("article");
  const note = article && one(".lost", article);
  if (note) note.hidden = !isLost;
}

// A list that came over the socket does not know which conversation this page shows.

function markCurrent() {
  for (const row of all("#conversations a")) {
    const isHere = row.pathname === location.pathname;
    if (!isHere) row.removeAttribute("aria-current");
    else row.setAttribute("aria-current", "page");
    if (isHere) one(".dot", row)?.remove();
  }
}

// Everything the page listens to

const actions = {
  copy: (button) => copyFrom(button, sourceOf(button.closest("article"))),
  "copy-code": (button) => copyFrom(button, one("pre", button.closest(".code")).textContent),
  edit: (button) => startEditing(button.closest("article")),
  "cancel-edit": stopEditing,
  start: (button) => write(button.dataset.text),
  "close-toast": (button) => button.closest(".toast").remove(),
};

function pressed(event) {
  const box = event.target;
  if (box.matches?.("#prompt, .edit textarea") && asksToSend(event)) {
    event.preventDefault();
    return send(box.form);
  }
  if (event.key === "ArrowUp" && box.id === "prompt" && !box.value && !event.isComposing && !one(RUNNING)) {
    const edit = all('[data-do="edit"]').at(-1);
    if (edit) { event.preventDefault(); edit.click(); }
  }
  if (event.key === "Escape" && !event.isComposing && !event.defaultPrevented && !one(":popover-open")) {
    if (box.closest?.(".edit")) stopEditing();
    else one("#stop")?.requestSubmit();
  }
}

function listen() {
  document.addEventListener("keydown", pressed);
  document.addEventListener("input", ({ target }) => {
    if (target.id === "prompt") typed(target);
    else if (target.matches(".edit textarea")) grow(target);
  });
  document.addEventListener("htmx:before:request", ({ target }) => {
    if (target.id === "composer") sent = prompt().value;
    if (target.id === "stop") focusPrompt();
  });
  document.addEventListener("message-sent", ({ target }) => {
    if (target.id === "composer") afterSending();
    else focusPrompt();
  });
  document.addEventListener("htmx:after:request", checkAnswer);
  document.addEventListener("htmx:error", ({ target, detail }) => {
    if (detail.ctx && target.matches?.("form")) complain(navigator.onLine ? "network" : "offline");
  });
  document.addEventListener("htmx:sse:after:connection", (event) => connection(event, false));
  document.addEventListener("htmx:sse:before:connection", (event) => {
    if (event.detail.connection.attempt > 0) connection(event, true);
  });
  document.addEventListener("htmx:ws:after:message:incoming", markCurrent);
  addEventListener("offline", () => complain("offline"));
  addEventListener("online", () => clearComplaint("offline", "network"));
  addEventListener("scroll", scrolled, { passive: true });
  addEventListener("resize", grown);
  one("#jump").addEventListener("click", () => {
    following = true;
    toEnd(matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth");
  });
  new MutationObserver(() => {
    addCopyButtons();
    showThatWordsArrived();
    sayWhatChanged();
    grown();
  }).observe(one("#messages"), { childList: true, subtree: true, characterData: true });
  setInterval(tick, 250);
}

function keepDetailsOpen() {
  htmx.registerExtension("keep-open", {
    htmx_before_morph_attr: (element, { attrName }) => !(attrName === "open" && element.matches("details")),
  });
}

function begin() {
  const box = prompt();
  keepDetailsOpen();
  listen();
  if (!box.value) box.value = drafts.load(box.form);
  typed(box);
  addCopyButtons();
  wasRunning = Boolean(one(RUNNING));
  const named = location.hash && document.getElementById(location.hash.slice(1));
  following = !named;
  if (named) named.scrollIntoView({ block: "center", behavior: "instant" });
  else toEnd();
  one("#conversations [aria-current]")?.scrollIntoView({ block: "nearest" });
  scrolled();
  tick();
  focusPrompt();
}

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-do]");
  if (button) actions[button.dataset.do](button);
});
if (chat) begin();
else if (drafts.any()) all("[data-kept]").forEach((note) => { note.hidden = false; });
