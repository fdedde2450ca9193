// Keyboard shortcuts of the chat page. `_shortcuts.html` lists them.
"use strict";

const isTextField = (element) => element.matches?.("input, textarea, select, [contenteditable]");

// The action of a shortcut that works anywhere on the page.
function shortcutAction(event) {
  const isCommand = event.ctrlKey || event.metaKey;
  const key = event.key.toLowerCase();
  const { homeUrl, searchUrl } = chat.dataset;
  if (isCommand && event.shiftKey && key === "o") return () => location.assign(homeUrl);
  if (isCommand && !event.shiftKey && !event.altKey && key === "k") return () => location.assign(searchUrl);
  if (event.shiftKey && event.key === "Escape") return () => messageBox().focus();
  if (event.key === "?" && !isCommand && !event.altKey && !isTextField(event.target) && !query("#shortcuts").open) {
    return () => query("#shortcuts").showModal();
  }
  return null;
}

function isSendKey(event) {
  if (event.key !== "Enter") return false;
  if (event.ctrlKey || event.metaKey) return true;
  return Boolean(chat.dataset.enterSends) && !event.shiftKey && !event.altKey && !touchScreen.matches;
}

// Arrow up in the empty message box edits the last message.
function editLastMessage(event) {
  const button = queryAll('[data-do="edit"]').at(-1);
  if (!button || isAnswerRunning()) return;
  event.preventDefault();
  button.click();
}

function keyPressed(event) {
  // 229: the key belongs to an input method, in browsers that do not set `isComposing`.
  if (event.isComposing || event.keyCode === 229) return;
  const { target } = event;
  const action = shortcutAction(event);
  if (action) {
    event.preventDefault();
    action();
  } else if (target.matches?.("#prompt, .edit-form textarea") && isSendKey(event)) {
    event.preventDefault();
    sendForm(target.form);
  } else if (event.key === "ArrowUp" && target.id === "prompt" && !target.value) {
    editLastMessage(event);
  } else if (event.key === "Escape" && !event.defaultPrevented && !query(":popover-open, dialog[open]")) {
    if (target.closest?.(".edit-form")) stopEditing();
    else query("#stop")?.requestSubmit();
  }
}

document.addEventListener("keydown", keyPressed);
