// Messages that are complete: copying, editing, versions, earlier messages.
"use strict";

// Copying. `navigator.clipboard` is missing on pages without HTTPS.

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelection(text);
  }
}

function copySelection(text) {
  const focused = document.activeElement;
  const box = Object.assign(document.createElement("textarea"), { value: text, className: "visually-hidden" });
  document.body.append(box);
  box.select();
  const isCopied = document.execCommand("copy");
  box.remove();
  focused?.focus({ preventScroll: true });
  return isCopied;
}

async function copyFrom(button, text) {
  const isCopied = await copyText(text);
  announce(isCopied ? chat.dataset.textCopied : chat.dataset.textNotCopied);
  if (!isCopied) return;
  const icon = query("use", button);
  icon.setAttribute("href", "#i-check");
  setTimeout(() => icon.setAttribute("href", "#i-copy"), 1600);
}

// The message as it was written, in Markdown.
function sourceOf(article) {
  const source = query("template.source", article);
  return source ? source.content.textContent : query("textarea", query("template.editor", article).content).value;
}

function createIcon(name) {
  const namespace = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(namespace, "svg");
  const use = document.createElementNS(namespace, "use");
  icon.setAttribute("class", "icon");
  use.setAttribute("href", `#i-${name}`);
  icon.append(use);
  return icon;
}

function addCopyButtons() {
  for (const head of queryAll(".code-head:not(:has(button))")) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.dataset.do = "copy-code";
    button.setAttribute("aria-label", chat.dataset.textCopyCode);
    button.append(createIcon("copy"), chat.dataset.textCopy);
    head.append(button);
  }
}

// Editing a message where it stands.

function startEditing(article) {
  stopEditing();
  const form = query("template.editor", article).content.firstElementChild.cloneNode(true);
  const box = query("textarea", form);
  stopFollowing();
  article.append(form);
  article.classList.add("editing");
  htmx.process(form);
  fitHeight(box);
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
}

function stopEditing() {
  const article = query("article.editing");
  if (!article) return;
  query(".edit-form", article).remove();
  article.classList.remove("editing");
  query('[data-do="edit"]', article)?.focus();
}

// Earlier messages are inserted above: the first one shown so far keeps its place on the screen.

let firstShown = null;

function rememberFirstShown() {
  const article = query("#messages article");
  firstShown = article && { article, top: article.getBoundingClientRect().top };
}

function restoreFirstShown() {
  if (firstShown?.article.isConnected) {
    scrollBy({ top: firstShown.article.getBoundingClientRect().top - firstShown.top, behavior: "instant" });
  }
  firstShown = null;
}

Object.assign(clickActions, {
  copy: (button) => copyFrom(button, sourceOf(button.closest("article"))),
  "copy-code": (button) => copyFrom(button, query("pre", button.closest(".code")).textContent),
  edit: (button) => startEditing(button.closest("article")),
  "cancel-edit": stopEditing,
});

document.addEventListener("htmx:before:swap", ({ target }) => {
  if (target.matches?.(".older")) rememberFirstShown();
});
document.addEventListener("htmx:after:swap", restoreFirstShown);
document.addEventListener("version-shown", ({ detail }) => {
  const article = document.getElementById(detail.id);
  if (article) query(".versions button", article)?.focus({ preventScroll: true });
});

addCopyButtons();
