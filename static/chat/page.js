// For every page: helpers, and the buttons that only work with JavaScript. Pages work without any script.
"use strict";

const query = (selector, root = document) => root.querySelector(selector);
const queryAll = (selector, root = document) => [...root.querySelectorAll(selector)];

// What a click on an element with `data-do` does, by name. Other scripts add their actions.
const clickActions = {
  "close-toast": (button) => button.closest(".toast").remove(),
};

document.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-do]");
  if (button) clickActions[button.dataset.do](button);
});
