// A button for every piece of code on a page that only shows text.
"use strict";

const words = document.querySelector("[data-copy-code]").dataset;

for (const head of document.querySelectorAll(".code-head")) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: words.copy });
  button.setAttribute("aria-label", words.copyCode);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(head.parentElement.querySelector("pre").textContent);
    button.textContent = words.copied;
    setTimeout(() => { button.textContent = words.copy; }, 1600);
  });
  if (navigator.clipboard) head.append(button);
}
