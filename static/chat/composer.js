// The message box: height, character count, token estimate, draft, sending.
"use strict";

const messageBox = () => query("#prompt");
const sendButton = () => query("#composer-actions .send-button[form]");

// For browsers without `field-sizing: content`.
function fitHeight(box) {
  if (CSS.supports("field-sizing", "content")) return;
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}

// Shows the number of characters when it comes near the limit.
function updateCharacterCount(box) {
  const limit = Number(chat.dataset.limit);
  const threshold = limit * 0.8;
  const characters = box.value.length > threshold ? [...box.value].length : 0;
  const counter = query("#character-count");
  const format = new Intl.NumberFormat(document.documentElement.lang);
  counter.hidden = characters < threshold;
  counter.classList.toggle("over", characters > limit);
  counter.textContent = counter.hidden ? "" : `${format.format(characters)} / ${format.format(limit)}`;
}

const encoder = new TextEncoder();
const roundTokens = (tokens) => (tokens < 100 ? tokens : Number(tokens.toPrecision(2)));

// Shows what the message takes from the token limit, as the server estimates it: four UTF-8 bytes a token, and four
// tokens a message. The server also requires room for an answer of at least 256 tokens.
function updateEstimate() {
  const estimate = query("#estimate");
  const { history, output, left, text, textOver } = estimate.dataset;
  const message = messageBox().value.trim();
  const tokens = Number(history) + Math.ceil(encoder.encode(message).length / 4) + 4;
  const isTooMuch = left !== "" && tokens + Math.min(256, Number(output)) > Number(left);
  const shown = roundTokens(tokens).toLocaleString(document.documentElement.lang);
  estimate.textContent = message ? (isTooMuch ? textOver : text).replace("%s", shown) : "";
  estimate.classList.toggle("over", Boolean(message) && isTooMuch);
}

function messageChanged() {
  const box = messageBox();
  fitHeight(box);
  updateCharacterCount(box);
  updateEstimate();
  drafts.save(chat.dataset.user, box.form.dataset.draft, box.value);
}

function insertText(text) {
  const box = messageBox();
  box.value = text;
  messageChanged();
  box.focus();
  box.setSelectionRange(text.length, text.length);
}

// Not on touch screens: the keyboard would cover the answer.
function focusMessageBox() {
  if (!touchScreen.matches) messageBox().focus({ preventScroll: true });
}

// Sends the form of the message box or of an edited message, if it may be sent.
function sendForm(form) {
  if (!query("textarea", form).value.trim()) return;
  if (form.id === "composer") {
    if (isAnswerRunning()) return announce(chat.dataset.textWait);
    if (sendButton()?.disabled) return;
  }
  form.requestSubmit();
}

let sentText = "";

// Text typed since the form was sent stays.
function messageSent() {
  const box = messageBox();
  if (box.value === sentText) box.value = "";
  messageChanged();
  if (box.form.dataset.draft !== "new") drafts.save(chat.dataset.user, "new", "");
  focusMessageBox();
  followAnswer();
}

clickActions["insert-text"] = (button) => insertText(button.dataset.text);

document.addEventListener("input", ({ target }) => {
  if (target.id === "prompt") messageChanged();
  else if (target.matches(".edit-form textarea")) fitHeight(target);
});
document.addEventListener("htmx:before:request", ({ target }) => {
  if (target.id === "composer") sentText = messageBox().value;
  if (target.id === "stop") focusMessageBox();
});
document.addEventListener("message-sent", ({ target }) => {
  if (target.id === "composer") messageSent();
  else focusMessageBox();
});
document.addEventListener("htmx:after:swap", updateEstimate);

if (!messageBox().value) {
  messageBox().value = drafts.load(chat.dataset.user, messageBox().form.dataset.draft);
}
messageChanged();
focusMessageBox();
