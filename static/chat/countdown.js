// Counts down until a limit allows the next message. Until then the button is disabled.
"use strict";

const retryTimes = new WeakMap();

function secondsLeft(element) {
  if (!retryTimes.has(element)) retryTimes.set(element, Date.now() + Number(element.dataset.retryAfter) * 1000);
  return Math.max(0, Math.ceil((retryTimes.get(element) - Date.now()) / 1000));
}

function formatDuration(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const twoDigits = (number) => String(number).padStart(2, "0");
  if (hours) return `${hours}:${twoDigits(minutes)}:${twoDigits(seconds % 60)}`;
  return seconds < 60 ? `${seconds} s` : `${minutes}:${twoDigits(seconds % 60)}`;
}

// A refusal beside the message box disables the Send button.
function updateRefusal() {
  const refusal = query("#alert [data-retry-after]");
  const seconds = refusal ? secondsLeft(refusal) : 0;
  const button = sendButton();
  if (button) button.disabled = seconds > 0;
  if (!refusal) return;
  query(".countdown", refusal).textContent = seconds ? formatDuration(seconds) : chat.dataset.textReady;
  if (seconds) return;
  refusal.removeAttribute("data-retry-after");
  announce(chat.dataset.textReady);
}

// The Retry button of a failed answer shows its own countdown.
function updateRetryButton(button) {
  const seconds = secondsLeft(button);
  let countdown = query(".countdown", button);
  if (!countdown) {
    countdown = Object.assign(document.createElement("span"), { className: "countdown" });
    countdown.setAttribute("aria-hidden", "true");
    button.append(countdown);
  }
  countdown.textContent = seconds ? formatDuration(seconds) : "";
  button.disabled = seconds > 0;
  if (!seconds) button.removeAttribute("data-retry-after");
}

function updateCountdowns() {
  queryAll("button[data-retry-after]").forEach(updateRetryButton);
  updateRefusal();
}

setInterval(updateCountdowns, 250);
updateCountdowns();
