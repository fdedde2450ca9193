// What the scripts of the chat page share. The texts they show are `data-text-…` attributes of the page.
"use strict";

const chat = query("#chat");
const RUNNING_ANSWER = 'article:is([data-status="pending"], [data-status="streaming"])';
const touchScreen = matchMedia("(hover: none) and (pointer: coarse)");

const isAnswerRunning = () => Boolean(query(RUNNING_ANSWER));

// Lets screen readers say a text. The element is emptied first, so that the same text can be said twice.
function announce(text) {
  const status = query("#status");
  status.textContent = "";
  setTimeout(() => { status.textContent = text; }, 50);
}
