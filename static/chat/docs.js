// A copy button for each code example of the API documentation.
"use strict";

const examples = query("[data-text-copy-code]");

for (const head of queryAll(".code-head", examples)) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.textContent = examples.dataset.textCopy;
  button.setAttribute("aria-label", examples.dataset.textCopyCode);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(query("pre", head.parentElement).textContent);
    button.textContent = examples.dataset.textCopied;
    setTimeout(() => { button.textContent = examples.dataset.textCopy; }, 1600);
  });
  if (navigator.clipboard) head.append(button);
}
